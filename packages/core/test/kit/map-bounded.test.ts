import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { UnavailableError } from '../../src/index.js'
import { mapBounded } from '../../src/kit/index.js'

const overloaded = () => new UnavailableError('OVERLOADED', 'no room', 'not-sent')

/** Work that refuses more than `room` items at once, and what it has counted. */
function bounded(room: number) {
  const seen = { atOnce: 0, maxAtOnce: 0, refused: 0 }
  const run = async (item: number) => {
    if (seen.atOnce >= room) {
      seen.refused++
      throw overloaded()
    }
    seen.maxAtOnce = Math.max(seen.maxAtOnce, ++seen.atOnce)
    // Items end in another order than they began in.
    for (let turn = 0; turn < item % 5; turn++) await Promise.resolve()
    seen.atOnce--
    return item * 2
  }
  return { seen, run }
}

describe('a bounded map', () => {
  it('gives results in order, and has no more at once than asked for, or than there is room for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(60),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        async (count, max, room) => {
          const items = Array.from({ length: count }, (_, index) => index)
          const { seen, run } = bounded(room)
          expect(await mapBounded(items, max, run)).toEqual(items.map((item) => item * 2))
          expect(seen.maxAtOnce).toBeLessThanOrEqual(Math.min(max, room))
          // Each refusal reduces the items that run at once, so there are at most `max` refusals.
          expect(seen.refused).toBeLessThanOrEqual(max)
        },
      ),
    )
  })

  it('is refused when there is no room even for one', async () => {
    await expect(mapBounded([1, 2, 3], 2, bounded(0).run)).rejects.toMatchObject({ code: 'OVERLOADED' })
  })

  it('begins nothing after a failure, awaits what runs, and rejects with the first', async () => {
    const ended: number[] = []
    const begun: number[] = []
    const run = async (item: number) => {
      begun.push(item)
      await new Promise((resolve) => setImmediate(resolve))
      if (item === 1) throw new Error('first')
      await new Promise((resolve) => setImmediate(resolve))
      ended.push(item)
      if (item === 2) throw new Error('second')
    }
    await expect(mapBounded([0, 1, 2, 3, 4, 5], 3, run)).rejects.toThrow('first')
    expect(begun).toEqual([0, 1, 2])
    expect(ended).toEqual([0, 2])
  })

  it('does nothing for no items', async () => {
    expect(await mapBounded([], 5, () => Promise.reject(new Error('never')))).toEqual([])
  })
})
