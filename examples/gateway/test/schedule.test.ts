import { describe, expect, it } from 'vitest'
import { Schedule } from '../src/demo/schedule.js'

describe('the schedule of a run', () => {
  it('lets nothing later begin while it is held, and then goes on from there', async () => {
    const schedule = new Schedule()
    await schedule.reach(20)
    let mayGoOn = false
    const held = schedule.holdUntil(() => mayGoOn, 60_000)
    const heldAt = schedule.now()
    let isReached = false
    const later = schedule.reach(heldAt + 1).then(() => {
      isReached = true
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(schedule.now()).toBe(heldAt)
    expect(isReached).toBe(false)
    mayGoOn = true
    await held
    await later
    expect(schedule.now()).toBeGreaterThanOrEqual(heldAt + 1)
  })

  it('goes on at once if there is nothing to wait for', async () => {
    const schedule = new Schedule()
    await schedule.holdUntil(() => true, 60_000)
    await schedule.reach(1)
    expect(schedule.now()).toBeGreaterThanOrEqual(1)
  })

  it('is not held for ever', async () => {
    const schedule = new Schedule()
    await schedule.holdUntil(() => false, 30)
    await schedule.reach(1)
    expect(schedule.now()).toBeGreaterThanOrEqual(1)
  })
})
