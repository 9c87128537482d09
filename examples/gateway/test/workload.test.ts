import { describe, expect, it } from 'vitest'
import { greedyUser, ownWorkload, withCompany } from '../src/demo/workload.js'

describe('the workload', () => {
  it('is the same each time, in the order of time', () => {
    const { jobs } = ownWorkload(100, 90)
    expect(ownWorkload(100, 90).jobs).toEqual(jobs)
    expect(jobs.map(({ atMs }) => atMs)).toEqual(jobs.map(({ atMs }) => atMs).sort((a, b) => a - b))
  })

  it('has one user who asks too much, and all others within their limit', () => {
    const { jobs } = ownWorkload(2_000, 90)
    const perUser = new Map<string, number>()
    for (const { user } of jobs) perUser.set(user, (perUser.get(user) ?? 0) + 1)
    expect(perUser.get(greedyUser)).toBe(90)
    perUser.delete(greedyUser)
    expect(Math.max(...perUser.values())).toBeLessThanOrEqual(20)
  })

  it('sends all of the greedy requests within a minute, however long the trace is', () => {
    const { jobs } = withCompany('an hour', [], 90, 3_600_000)
    const last = jobs.findLast(({ user }) => user === greedyUser)
    expect(last?.atMs).toBeLessThan(60_000)
  })

  it('keeps the turns of a conversation in order', () => {
    const { jobs } = ownWorkload(50, 90)
    const turns = jobs.flatMap(({ turn }) => (turn?.conversation === 3 ? [turn.number] : []))
    expect(turns).toEqual([0, 1, 2, 3, 4, 5])
  })
})
