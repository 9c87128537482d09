import { beforeEach, describe, expect, it } from 'vitest'
import type { KeyValuePort } from '../key-value/store.js'

export interface KeyValueHarness {
  /** An empty store. */
  create(): Promise<KeyValuePort> | KeyValuePort
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

const ttlMs = 60_000

/** What every {@link KeyValuePort} must do, as vitest tests. */
export function testKeyValueStore(name: string, harness: KeyValueHarness): void {
  describe(`a key-value store: ${name}`, () => {
    let store: KeyValuePort

    beforeEach(async () => {
      store = await harness.create()
    })

    const textOf = async (key: string) => (await store.get(key))?.value

    it('gives back what was written, with a version that grows', async () => {
      expect(await store.get('k')).toBeUndefined()
      expect(await store.set('k', 'ü\u0000 🙂', { ttlMs })).toEqual({ written: true, version: 1 })
      expect(await store.get('k')).toEqual({ value: 'ü\u0000 🙂', version: 1 })
      expect(await store.set('k', '', { ttlMs })).toEqual({ written: true, version: 2 })
      expect(await store.get('k')).toEqual({ value: '', version: 2 })
    })

    it('writes only where there is none, or over an older version, when asked to', async () => {
      expect(await store.set('k', 'a', { ttlMs, onlyIfAbsent: true })).toEqual({ written: true, version: 1 })
      expect(await store.set('k', 'b', { ttlMs, onlyIfAbsent: true })).toEqual({ written: false, version: 1 })
      expect(await store.set('k', 'c', { ttlMs, version: 5 })).toEqual({ written: true, version: 5 })
      expect(await store.set('k', 'd', { ttlMs, version: 5 })).toEqual({ written: false, version: 5 })
      expect(await textOf('k')).toBe('c')
    })

    it('reads many in their order', async () => {
      await store.set('a', '1', { ttlMs })
      await store.set('c', '3', { ttlMs })
      expect((await store.getMany(['a', 'b', 'c'])).map((found) => found?.value)).toEqual([
        '1',
        undefined,
        '3',
      ])
    })

    it('deletes, and says whether there was anything', async () => {
      await store.set('k', 'v', { ttlMs })
      expect(await store.delete('k')).toBe(true)
      expect(await store.delete('k')).toBe(false)
      expect(await store.get('k')).toBeUndefined()
    })

    it('counts', async () => {
      expect(await store.increment('n', 5, ttlMs)).toBe(5)
      expect(await store.increment('n', -2, ttlMs)).toBe(3)
      expect(await textOf('n')).toBe('3')
      const sums = await Promise.all(Array.from({ length: 20 }, () => store.increment('m', 1, ttlMs)))
      expect(sums.sort((one, other) => one - other)).toEqual(
        Array.from({ length: 20 }, (_, index) => index + 1),
      )
      await store.set('text', 'x', { ttlMs })
      await expect(store.increment('text', 1, ttlMs)).rejects.toMatchObject({ code: 'REDIS_REPLY' })
    })

    it('forgets when time is over, and counts it anew when touched', async () => {
      await store.set('k', 'v', { ttlMs: 100 })
      await store.set('kept', 'v', { ttlMs: 100 })
      expect(await store.touch('kept', 60_000)).toBe(true)
      expect(await store.touch('none', 60_000)).toBe(false)
      await harness.pass(150)
      expect(await textOf('k')).toBeUndefined()
      expect(await textOf('kept')).toBe('v')
    })

    it('lists what begins with a prefix, whatever is in it', async () => {
      const names = ['p:a', 'p:b', 'q:a', 'p*:x', 'p?', '[p]:a']
      for (const key of names) await store.set(key, 'v', { ttlMs })
      const list = async (prefix: string) => {
        const found = new Set<string>()
        for await (const page of store.keys(prefix)) for (const key of page) found.add(key)
        return [...found].sort()
      }
      expect(await list('p:')).toEqual(['p:a', 'p:b'])
      expect(await list('p*')).toEqual(['p*:x'])
      expect(await list('[p]')).toEqual(['[p]:a'])
      expect(await list('none')).toEqual([])
    })
  })
}
