import { inTime } from '@evenkeel/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { maxObservations, type Place, type SemanticIndex } from '../semantic/index/port.js'

export interface SemanticIndexHarness {
  /** An index without rows. */
  create(): Promise<SemanticIndex> | SemanticIndex
  /** Lets this many milliseconds go by, for the index. */
  pass(ms: number): Promise<void> | void
}

/** What every {@link SemanticIndex} must do, as vitest tests. */
export function testSemanticIndex(name: string, harness: SemanticIndexHarness): void {
  describe(`a semantic index: ${name}`, () => {
    let index: SemanticIndex
    const place: Place = { tenant: 'n', space: 'embedder/3', scope: 's' }
    const options = { ttlMs: 60_000, maxRows: 100 }

    const empty = async () => {
      index = await harness.create()
    }
    beforeEach(empty)

    const add = (id: string, vector: readonly number[], more: Partial<typeof options> = {}, where = place) =>
      index.add(where, { id, vector: unit(vector), sheet: `sheet of ${id}` }, { ...options, ...more })
    const near = async (vector: readonly number[], count = 4, where = place) =>
      (await index.nearest(where, unit(vector), count)).map(({ id }) => id)
    const observation = (id: string) => ({
      id,
      epoch: 2,
      features: [0.5, -1.25],
      similarity: 0.75,
      right: true,
    })

    it('finds nothing where nothing is', async () => {
      expect(await near([1, 0, 0])).toEqual([])
    })

    it('gives the nearest first, with the cosine and what was put in', async () => {
      await add('x', [1, 0, 0])
      await add('y', [0, 1, 0])
      await add('xy', [1, 1, 0])
      await add('minus x', [-1, 0, 0])
      const found = await index.nearest(place, unit([2, 0.1, 0]), 3)
      expect(found.map(({ id, sheet }) => [id, sheet])).toEqual([
        ['x', 'sheet of x'],
        ['xy', 'sheet of xy'],
        ['y', 'sheet of y'],
      ])
      expect(found[0]?.similarity).toBeCloseTo(0.99875, 5)
      expect(found[0]?.observations).toEqual([])
      expect((await index.nearest(place, unit([1, 0, 0]), 4)).at(-1)?.similarity).toBeCloseTo(-1, 5)
    })

    it('keeps places apart in each of their three parts, whatever is in their names', async () => {
      const names = ['a', 'a/b', '{a}', '}{', 'ü', '%2F', '*']
      const places = names.flatMap((odd) => [
        { ...place, tenant: odd },
        { ...place, space: odd },
        { ...place, scope: odd },
      ])
      for (const where of places) await add(JSON.stringify(where), [1, 0, 0], {}, where)
      for (const where of places) expect(await near([1, 0, 0], 4, where)).toEqual([JSON.stringify(where)])
      expect(await near([1, 0, 0])).toEqual([])
    })

    it('replaces a row of the same name, and adding it twice changes nothing', async () => {
      await add('x', [1, 0, 0])
      await add('x', [0, 1, 0])
      await add('x', [0, 1, 0])
      const found = await index.nearest(place, unit([0, 1, 0]), 4)
      expect(found.map(({ id }) => id)).toEqual(['x'])
      expect(found[0]?.similarity).toBeCloseTo(1, 5)
    })

    it('takes a row out, twice if asked, and one that was never there', async () => {
      await add('x', [1, 0, 0])
      await add('y', [0, 1, 0])
      expect(await near([1, 0, 0])).toEqual(['x', 'y'])
      await index.remove(place, 'x')
      await index.remove(place, 'x')
      await index.remove(place, 'never')
      await index.remove({ ...place, scope: 'nowhere' }, 'x')
      expect(await near([1, 0, 0])).toEqual(['y'])
      await add('x', [1, 0, 0])
      expect(await near([1, 0, 0])).toEqual(['x', 'y'])
    })

    it('forgets a row when its time is over', async () => {
      const found = async () => {
        await add('long', [0, 1, 0])
        await add('short', [1, 0, 0], { ttlMs: 80 })
        expect(await near([1, 0, 0])).toEqual(['short', 'long'])
      }
      await inTime(75, found, empty)
      await harness.pass(100)
      expect(await near([1, 0, 0])).toEqual(['long'])
    })

    it('holds no more rows than its bound: those that end soonest go', async () => {
      for (let at = 0; at < 30; at++)
        await add(`r${at}`, [1, at, 0], { maxRows: 10, ttlMs: 60_000 + at * 1_000 })
      const found = await near([1, 0, 0], 50)
      expect(found).toHaveLength(10)
      expect(found.sort()).toEqual(Array.from({ length: 10 }, (_, at) => `r${at + 20}`).sort())
    })

    it('keeps what was learned of a row, each observation once', async () => {
      await add('x', [1, 0, 0])
      await index.observe(place, 'x', observation('o1'))
      await index.observe(place, 'x', observation('o1'))
      await index.observe(place, 'x', { ...observation('o2'), right: false })
      const [found] = await index.nearest(place, unit([1, 0, 0]), 1)
      expect(found?.observations).toEqual([observation('o1'), { ...observation('o2'), right: false }])
    })

    it('keeps observations when a row is put in again as it was, and not when it became another', async () => {
      await add('x', [1, 0, 0])
      await index.observe(place, 'x', observation('o1'))
      await add('x', [1, 0, 0])
      expect((await index.nearest(place, unit([1, 0, 0]), 1))[0]?.observations).toHaveLength(1)
      await index.add(place, { id: 'x', vector: unit([1, 0, 0]), sheet: 'other' }, options)
      expect((await index.nearest(place, unit([1, 0, 0]), 1))[0]?.observations).toEqual([])
    })

    it('keeps the newest observations only, and none of a row that is gone', async () => {
      await add('x', [1, 0, 0])
      for (let at = 0; at < maxObservations + 5; at++) await index.observe(place, 'x', observation(`o${at}`))
      const [found] = await index.nearest(place, unit([1, 0, 0]), 1)
      expect(found?.observations.map(({ id }) => id)).toEqual(
        Array.from({ length: maxObservations }, (_, at) => `o${at + 5}`),
      )
      await index.observe(place, 'gone', observation('o'))
      await index.remove(place, 'x')
      await add('x', [1, 0, 0])
      expect((await index.nearest(place, unit([1, 0, 0]), 1))[0]?.observations).toEqual([])
    })

    it('answers many at once while rows come in', async () => {
      const adding = Array.from({ length: 40 }, (_, at) => add(`r${at}`, [1, at / 10, 0]))
      await Promise.all([...adding, ...Array.from({ length: 40 }, () => near([1, 0, 0]))])
      const all = await Promise.all(Array.from({ length: 20 }, () => near([1, 0, 0], 3)))
      for (const found of all) expect(found).toEqual(['r0', 'r1', 'r2'])
    })
  })
}

function unit(numbers: readonly number[]): Float32Array {
  const length = Math.hypot(...numbers)
  return Float32Array.from(numbers, (number) => number / length)
}
