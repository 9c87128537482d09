import { beforeEach, describe, expect, it } from 'vitest'
import { type Experiment, maxExperiments } from '../experiments/experiment.js'
import type { ExperimentStore } from '../experiments/port.js'

export interface ExperimentStoreHarness {
  /** An empty store. */
  create(): Promise<ExperimentStore> | ExperimentStore
}

/** What every {@link ExperimentStore} must do, as vitest tests. */
export function testExperimentStore(name: string, harness: ExperimentStoreHarness): void {
  describe(`an experiment store: ${name}`, () => {
    let store: ExperimentStore

    beforeEach(async () => {
      store = await harness.create()
    })

    const experiment = (id: string, more: Partial<Experiment> = {}): Experiment => ({
      id,
      languagePair: `pair of ${id}`,
      trafficPercentage: 10,
      experimentTags: ['v2'],
      controlTags: [],
      active: true,
      salt: '',
      ...more,
    })
    const ids = async () => {
      const known = (await store.list()).filter((record) => record.experiment !== undefined)
      return known.map(({ id }) => id).sort()
    }

    it('gives back what was put, whatever its texts hold', async () => {
      const odd = experiment('a\nb "c" ü', {
        languagePair: 'en-"de"\n{',
        salt: '{}',
        trafficPercentage: 33.25,
      })
      const { outcome, revision } = await store.put(odd)
      expect(outcome).toBe('put')
      expect(await store.list()).toEqual([{ id: odd.id, revision, experiment: odd }])
    })

    it('has one of each id, the last one put', async () => {
      const { revision } = await store.put(experiment('a'))
      const later = await store.put(experiment('a', { trafficPercentage: 20 }))
      expect(later.revision).toBeGreaterThan(revision)
      expect(await store.list()).toMatchObject([{ id: 'a', experiment: { trafficPercentage: 20 } }])
    })

    it('keeps the newer of two changes, in whatever order they come, and however often', async () => {
      await store.put(experiment('a', { salt: 'new' }), 20)
      expect(await store.put(experiment('a', { salt: 'old' }), 10)).toEqual({
        outcome: 'stale',
        revision: 20,
      })
      expect((await store.put(experiment('a', { salt: 'new' }), 20)).outcome).toBe('stale')
      expect(await store.remove('a', 15)).toMatchObject({ removed: false, revision: 20 })
      expect(await store.list()).toMatchObject([{ revision: 20, experiment: { salt: 'new' } }])
    })

    it('remembers what was removed, so that nothing older brings it back', async () => {
      await store.put(experiment('a'), 10)
      expect(await store.remove('a', 20)).toEqual({ removed: true, revision: 20 })
      expect((await store.put(experiment('a'), 15)).outcome).toBe('stale')
      expect(await store.list()).toEqual([{ id: 'a', revision: 20, experiment: undefined }])
      expect((await store.put(experiment('a'))).outcome).toBe('put')
      expect(await ids()).toEqual(['a'])
    })

    it('tells that there was none, and remembers a removal that was made elsewhere', async () => {
      expect((await store.remove('a')).removed).toBe(false)
      expect(await store.list()).toEqual([])
      expect(await store.remove('a', 5)).toEqual({ removed: false, revision: 5 })
      expect((await store.put(experiment('a'), 4)).outcome).toBe('stale')
    })

    it('refuses a second active one about a pair, until the first is off or removed', async () => {
      const first = experiment('a', { languagePair: 'en-de' })
      const second = experiment('b', { languagePair: 'en-de' })
      await store.put(first)
      expect((await store.put(second)).outcome).toBe('overlap')
      expect((await store.put({ ...second, active: false })).outcome).toBe('put')
      await store.put({ ...first, active: false })
      expect((await store.put(second)).outcome).toBe('put')
      await store.remove('b')
      expect((await store.put(first)).outcome).toBe('put')
    })

    it('takes one of two that are put at once about a pair', async () => {
      const put = (id: string) => store.put(experiment(id, { languagePair: 'en-de' }))
      const outcomes = (await Promise.all([put('a'), put('b'), put('c')])).map(({ outcome }) => outcome)
      expect(outcomes.sort()).toEqual(['overlap', 'overlap', 'put'])
    })

    it('holds a bounded number, removed ones included', async () => {
      const all = Array.from({ length: maxExperiments }, (_, index) =>
        experiment(`e${index}`, { active: false }),
      )
      for (let from = 0; from < all.length; from += 100) {
        await Promise.all(all.slice(from, from + 100).map((one) => store.put(one)))
      }
      await store.remove('e0')
      expect((await store.put(experiment('more'))).outcome).toBe('full')
      expect((await store.put(experiment('e0'))).outcome).toBe('put')
    })
  })
}
