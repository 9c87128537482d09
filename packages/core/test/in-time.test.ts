import { expect, it, vi } from 'vitest'
import { inTime } from '../src/testing/index.js'

const failing = (ms: number) =>
  vi.fn(async () => {
    await new Promise((resolve) => setTimeout(resolve, ms))
    throw new Error('expired')
  })

it('throws the error of steps that were in time, at once', async () => {
  const again = vi.fn(async () => {})
  await expect(inTime(60_000, failing(0), again)).rejects.toThrow('expired')
  expect(again).not.toHaveBeenCalled()
})

it('repeats steps that were too slow for what they show, until they hold', async () => {
  const slow = failing(20)
  const again = vi.fn(async () => {})
  let attempts = 0
  await inTime(10, () => (attempts++ < 3 ? slow() : Promise.resolve()), again)
  expect([attempts, again.mock.calls.length]).toEqual([4, 3])
})

it('ends where no attempt is in time', async () => {
  const slow = failing(2)
  await expect(inTime(1, slow, async () => {})).rejects.toThrow('expired')
  expect(slow).toHaveBeenCalledTimes(100)
})
