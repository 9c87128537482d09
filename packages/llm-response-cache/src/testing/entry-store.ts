import { beforeEach, describe, expect, it } from 'vitest'
import type { EntryStore } from '../store.js'

export interface EntryStoreHarness {
  /** A store without entries. */
  create(): Promise<EntryStore> | EntryStore
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

/** What every {@link EntryStore} must do, as vitest tests. */
export function testEntryStore(name: string, harness: EntryStoreHarness): void {
  describe(`an entry store: ${name}`, () => {
    let store: EntryStore

    beforeEach(async () => {
      store = await harness.create()
    })

    const hello = Buffer.from('hello')
    const entry = async (namespace: string, key: string) =>
      (await store.read(namespace, key)).entry?.toString()

    it('has no entry before one is written, and an epoch that stays', async () => {
      const first = await store.read('n', 'k')
      expect(first.entry).toBeUndefined()
      expect(first.epoch).not.toBe('')
      expect((await store.read('n', 'other')).epoch).toBe(first.epoch)
    })

    it('agrees on one epoch when many meet a new namespace at once', async () => {
      const readings = await Promise.all(Array.from({ length: 20 }, () => store.read('fresh', 'k')))
      expect(new Set(readings.map(({ epoch }) => epoch)).size).toBe(1)
    })

    it('gives back the bytes that were written, and replaces them', async () => {
      const bytes = Buffer.from([0, 1, 2, 253, 254, 255, 13, 10])
      await store.write('n', 'k', bytes, 60_000)
      expect(Buffer.compare((await store.read('n', 'k')).entry ?? hello, bytes)).toBe(0)
      await store.write('n', 'k', hello, 60_000)
      expect(await entry('n', 'k')).toBe('hello')
    })

    it('forgets an entry when its time is over', async () => {
      await store.write('n', 'k', hello, 80)
      expect(await entry('n', 'k')).toBe('hello')
      await harness.pass(100)
      expect(await entry('n', 'k')).toBeUndefined()
    })

    it('keeps namespaces and keys apart, whatever is in their names', async () => {
      const names = ['a', 'a/b', '{a}', '}{', 'ü \n', '*']
      for (const namespace of names) {
        for (const key of names) await store.write(namespace, key, Buffer.from(`${namespace} ${key}`), 60_000)
      }
      for (const namespace of names) {
        for (const key of names) expect(await entry(namespace, key)).toBe(`${namespace} ${key}`)
      }
    })

    it('clears one namespace by a new epoch', async () => {
      const before = (await store.read('n', 'k')).epoch
      const other = (await store.read('other', 'k')).epoch
      await store.clear('n', 'epoch-2')
      await store.clear('n', 'epoch-2')
      expect((await store.read('n', 'k')).epoch).toBe('epoch-2')
      expect(before).not.toBe('epoch-2')
      expect((await store.read('other', 'k')).epoch).toBe(other)
    })
  })
}
