import { inTime } from '@evenkeel/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import type { HealthStore, OwnVerdict, SharedVerdicts } from '../health/port.js'

export interface HealthStoreHarness {
  /** An empty store. */
  create(): Promise<HealthStore> | HealthStore
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

const keepMs = 60_000

/** What every {@link HealthStore} must do, as vitest tests. */
export function testHealthStore(name: string, harness: HealthStoreHarness): void {
  describe(`a health store: ${name}`, () => {
    let store: HealthStore

    const empty = async () => {
      store = await harness.create()
    }
    beforeEach(empty)

    const word = (by: string, verdicts: readonly OwnVerdict[] = [], more = {}) => ({
      by,
      aliveMs: keepMs,
      keepMs,
      verdicts,
      ...more,
    })
    const verdict = (node: string, healthy = true, forMs = 0) => ({ node, healthy, forMs })
    const listen = (mark?: number, by = 'listener') => store.share(word(by, [], { aliveMs: 0 }), mark)
    const said = ({ verdicts }: SharedVerdicts) =>
      verdicts.map(({ by, node, healthy }) => `${by} ${node} ${healthy}`).sort()

    it('tells each coordinator the verdicts of the others, and not its own', async () => {
      await store.share(word('one', [verdict('a'), verdict('b', false)]))
      await store.share(word('other', [verdict('a', false)]))
      expect(said(await listen())).toEqual(['one a true', 'one b false', 'other a false'])
      expect(said(await listen(undefined, 'one'))).toEqual(['other a false'])
    })

    it('holds one verdict of each about a node, the last', async () => {
      await store.share(word('one', [verdict('a')]))
      await store.share(word('one', [verdict('a', false)]))
      expect(said(await listen())).toEqual(['one a false'])
    })

    it('tells what is new since a mark', async () => {
      await store.share(word('one', [verdict('a'), verdict('b')]))
      const { mark, complete } = await listen()
      expect(complete).toBe(true)
      expect(await listen(mark)).toMatchObject({ complete: false, verdicts: [] })
      await store.share(word('one', [verdict('b', false)]))
      await store.share(word('other', [verdict('c')]))
      expect(said(await listen(mark))).toEqual(['one b false', 'other c true'])
    })

    it('gives everything to a reader of what is lost', async () => {
      await store.share(word('one', [verdict('a')]))
      const { mark } = await listen()
      await harness.pass(20)
      await store.share(word('one', [verdict('b')]))
      const lost = (await listen()).mark
      store = await harness.create()
      await store.share(word('one', [verdict('c')]))
      expect(await listen(lost + 1e9)).toMatchObject({ complete: true, verdicts: [{ node: 'c' }] })
      expect(mark).toBeLessThan(lost)
    })

    it('says how old a verdict is, and for how long it has been so', async () => {
      let told: SharedVerdicts['verdicts'][number] | undefined
      const heard = async () => {
        await store.share(word('one', [verdict('a', false, 500)]))
        await harness.pass(50)
        ;[told] = (await listen()).verdicts
        expect(told?.toldMs).toBeLessThan(1_000)
      }
      await inTime(990, heard, empty)
      expect(told?.toldMs).toBeGreaterThanOrEqual(49)
      expect(Number(told?.forMs) - Number(told?.toldMs)).toBe(500)
    })

    it('forgets a verdict that is not told again', async () => {
      const short = { keepMs: 200 }
      const told = async () => {
        await store.share(word('one', [verdict('a'), verdict('b')], short))
        await harness.pass(150)
        await store.share(word('one', [verdict('b')], short))
        await harness.pass(80)
        expect(said(await store.share(word('other', [], short)))).toEqual(['one b true'])
      }
      await inTime(345, told, empty)
    })

    it('lists who probes, with the region, and neither who listens nor who is silent or has left', async () => {
      const names = async () => (await listen()).probers.map(({ id }) => id).sort()
      const probing = async () => {
        await store.share(word('here', [], { region: 'eu' }))
        await store.share(word('leaves', [verdict('a')]))
        await store.share(word('silent', [], { aliveMs: 200 }))
        expect(await names()).toEqual(['here', 'leaves', 'silent'])
      }
      await inTime(195, probing, empty)
      expect((await listen()).probers.find(({ id }) => id === 'here')?.region).toBe('eu')
      expect((await listen()).probers.find(({ id }) => id === 'leaves')?.region).toBeUndefined()
      await harness.pass(220)
      await store.leave('leaves')
      expect(await names()).toEqual(['here'])
      expect(said(await listen())).toEqual([])
    })

    it('promise 6: takes a word that is told again for the same one', async () => {
      for (let count = 0; count < 3; count++) await store.share(word('one', [verdict('a')]))
      await store.leave('nobody')
      await store.leave('nobody')
      const { verdicts, probers } = await listen()
      expect([verdicts.length, probers.length]).toEqual([1, 1])
    })

    it('takes any names', async () => {
      const names = ['a b', 'ü\n1', '{x}:*', '"']
      await store.share(
        word(
          'one',
          names.map((node) => verdict(node)),
        ),
      )
      expect((await listen()).verdicts.map(({ node }) => node).sort()).toEqual([...names].sort())
    })

    it('gives one permit for a node, again to its holder, until it is given back', async () => {
      expect(await store.takeTrial('a', 'one', keepMs)).toBe(true)
      expect(await store.takeTrial('a', 'one', keepMs)).toBe(true)
      expect(await store.takeTrial('a', 'other', keepMs)).toBe(false)
      expect(await store.takeTrial('b', 'other', keepMs)).toBe(true)
      await store.giveTrial('a', 'other')
      expect(await store.takeTrial('a', 'other', keepMs)).toBe(false)
      await store.giveTrial('a', 'one')
      await store.giveTrial('a', 'one')
      expect(await store.takeTrial('a', 'other', keepMs)).toBe(true)
    })

    it('ends a permit by itself, should its holder be gone', async () => {
      await store.takeTrial('a', 'one', 30)
      await harness.pass(50)
      expect(await store.takeTrial('a', 'other', keepMs)).toBe(true)
      await store.giveTrial('a', 'one')
      expect(await store.takeTrial('a', 'third', keepMs)).toBe(false)
    })

    it('never gives a permit to two that ask at once', async () => {
      const asked = await Promise.all(
        Array.from({ length: 20 }, (_, index) => store.takeTrial('a', `one-${index}`, keepMs)),
      )
      expect(asked.filter(Boolean)).toHaveLength(1)
    })
  })
}
