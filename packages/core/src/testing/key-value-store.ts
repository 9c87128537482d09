import { beforeEach, describe, expect, it } from 'vitest'
import { digestOf, type Expected, type KeyValuePort } from '../key-value/port.js'
import { inTime } from './in-time.js'

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

    const empty = async () => {
      store = await harness.create()
    }
    beforeEach(empty)

    const textOf = async (key: string) => (await store.get(key))?.value

    it('gives back what was written, with a version that grows and the time that is left', async () => {
      expect(await store.get('k')).toBeUndefined()
      const first = await store.set('k', 'ü\u0000 🙂', { ttlMs })
      expect(first).toEqual({ written: true, version: expect.any(Number) })
      const found = await store.get('k')
      expect(found).toMatchObject({ value: 'ü\u0000 🙂', version: first.version })
      expect(found?.ttlMs).toBeGreaterThan(0)
      expect(found?.ttlMs).toBeLessThanOrEqual(ttlMs)
      const second = await store.set('k', '', { ttlMs })
      expect(second.version).toBeGreaterThan(first.version)
      expect(await store.get('k')).toMatchObject({ value: '', version: second.version })
    })

    it('never uses a version again: not after a deletion, and not after an end', async () => {
      const first = await store.set('k', 'a', { ttlMs: 50 })
      await harness.pass(100)
      const second = await store.set('k', 'b', { ttlMs })
      await store.delete('k')
      const third = await store.set('k', 'c', { ttlMs })
      const fourth = await store.increment('n', 1, ttlMs)
      await store.delete('n')
      const fifth = await store.increment('n', 1, ttlMs)
      expect(second.version).toBeGreaterThan(first.version)
      expect(third.version).toBeGreaterThan(second.version)
      expect(fifth.version).toBeGreaterThan(fourth.version)
    })

    it('writes only where there is none, when asked to', async () => {
      const { version } = await store.set('k', 'a', { ttlMs, onlyIfAbsent: true })
      expect(await store.set('k', 'b', { ttlMs, onlyIfAbsent: true })).toEqual({ written: false, version })
      expect(await textOf('k')).toBe('a')
    })

    it('writes and deletes only what is as expected, when asked to', async () => {
      const set = async (value: string, expected: Expected) =>
        (await store.set('k', value, { ttlMs, expected })).written
      expect(await set('a', { version: 5 })).toBe(false)
      expect(await textOf('k')).toBeUndefined()
      expect(await set('a', { version: 5, orAbsent: true })).toBe(true)
      expect(await set('b', { version: 0 })).toBe(false)
      const { version } = (await store.get('k')) ?? { version: 0 }
      expect(await set('b', { version })).toBe(true)
      expect(await set('c', { version })).toBe(false)
      expect(await set('c', { version, orAbsent: true, orDigest: digestOf('a') })).toBe(false)
      expect(await set('c', { version, orDigest: digestOf('b') })).toBe(true)
      expect(await store.delete('k', { version })).toBe(false)
      expect(await store.delete('k', { version: 0 })).toBe(false)
      expect(await textOf('k')).toBe('c')
      expect(await store.delete('k', { version, orDigest: digestOf('c') })).toBe(true)
      expect(await store.delete('k', { version: 0 })).toBe(false)
      const { version: last } = await store.set('k', 'd', { ttlMs })
      expect(await store.delete('k', { version: last })).toBe(true)
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

    it('counts, and keeps the ttl that the counter had', async () => {
      expect(await store.increment('n', 5, ttlMs)).toMatchObject({ value: '5' })
      const before = await store.get('n')
      const sum = await store.increment('n', -2, 10 * ttlMs)
      expect(sum).toMatchObject({ value: '3' })
      expect(sum.version).toBeGreaterThan(before?.version ?? 0)
      expect(sum.ttlMs).toBeLessThanOrEqual(ttlMs)
      expect(await textOf('n')).toBe('3')
      const sums = await Promise.all(Array.from({ length: 20 }, () => store.increment('m', 1, ttlMs)))
      expect(sums.map(({ value }) => Number(value)).sort((one, other) => one - other)).toEqual(
        Array.from({ length: 20 }, (_, index) => index + 1),
      )
    })

    it('refuses to count what is no whole number, or would be none that JavaScript holds', async () => {
      const refusal = {
        code: 'REDIS_REPLY',
        message: 'increment: the value, or its sum, is no whole number',
      }
      for (const value of ['text', '', '1.5', '1e3', ' 1', '9007199254740993', '9'.repeat(30)]) {
        await store.set('k', value, { ttlMs })
        await expect(store.increment('k', 1, ttlMs)).rejects.toMatchObject(refusal)
        expect(await textOf('k')).toBe(value)
      }
      await store.set('k', String(Number.MAX_SAFE_INTEGER), { ttlMs })
      await expect(store.increment('k', 1, ttlMs)).rejects.toMatchObject(refusal)
      expect(await store.increment('k', -1, ttlMs)).toMatchObject({
        value: String(Number.MAX_SAFE_INTEGER - 1),
      })
    })

    it('forgets when time is over, and counts it anew when touched', async () => {
      const touched = async () => {
        await store.set('k', 'v', { ttlMs: 100 })
        await store.set('kept', 'v', { ttlMs: 100 })
        expect(await store.touch('kept', 60_000)).toBe(true)
      }
      await inTime(95, touched, empty)
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
