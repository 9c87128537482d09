import { inTime } from '@evenkeel/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Entry, textOf } from '../entry/entry.js'
import type { EntryKey, EntryStore } from '../stores/port.js'

export interface EntryStoreHarness {
  /** A store without entries. */
  create(): Promise<EntryStore> | EntryStore
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

/** An entry for tests; every field may be given. */
export function sampleEntry(body: string | Buffer, own: Partial<Entry> = {}): Entry {
  return {
    id: '00c0ffee',
    kind: typeof body === 'string' ? 'value' : 'response',
    createdAtMs: 1_700_000_000_000,
    freshUntilMs: 1_700_000_060_000,
    deadAtMs: 1_700_000_090_000,
    costMs: 1_234.5,
    timing: [],
    versions: [{ name: '', value: 's1' }],
    model: 'm',
    usage: { input: 3, output: 4 },
    status: 200,
    contentType: 'application/json',
    body,
    ...own,
  }
}

/** What every {@link EntryStore} must do, as vitest tests. */
export function testEntryStore(name: string, harness: EntryStoreHarness): void {
  describe(`an entry store: ${name}`, () => {
    let store: EntryStore

    const empty = async () => {
      store = await harness.create()
    }
    beforeEach(empty)

    const at = (own: string, tenant = 'n'): EntryKey => ({ tenant, name: own })
    const minute = { ttlMs: 60_000 }
    const read = async (entryKey: EntryKey) => {
      const { entry } = await store.read(entryKey, [])
      return entry && textOf(entry)
    }

    it('has no entry before one is written, and a version that stays', async () => {
      const first = await store.read(at('k'), [''])
      expect(first).toMatchObject({ entry: undefined, id: '' })
      expect(first.versions).toEqual([expect.stringMatching(/./)])
      expect((await store.read(at('other'), [''])).versions).toEqual(first.versions)
    })

    it('agrees on one version when many meet a new tenant at once', async () => {
      const readings = await Promise.all(
        Array.from({ length: 20 }, (_, index) => store.read(at(`k${index}`, 'fresh'), ['', 'tag'])),
      )
      expect(new Set(readings.map(({ versions }) => versions.join())).size).toBe(1)
    })

    it('gives back all of an entry, text and bytes, and replaces it', async () => {
      const bytes = Buffer.from([0, 1, 2, 253, 254, 255, 13, 10])
      const versions = [
        { name: '', value: 'a' },
        { name: 'täg', value: 'b' },
      ]
      const first = sampleEntry(bytes, {
        versions,
        timing: [3, 20, 5, 0],
        status: 404,
        contentType: 'text/x; a=1',
      })
      expect(await store.write(at('k'), first, minute)).toBe(true)
      const known = await store.read(at('k'), [])
      expect(known.entry).toEqual(first)
      expect(known.id).toBe(first.id)
      const second = sampleEntry('{"ü":1}', { id: '01020304' })
      await store.write(at('k'), second, minute)
      expect(await store.read(at('k'), [])).toEqual({ entry: second, id: '01020304', versions: [] })
    })

    it('keeps large bodies as they are', async () => {
      const large = Buffer.from('abcdefgh'.repeat(20_000))
      await store.write(at('k'), sampleEntry(large), minute)
      expect(await read(at('k'))).toBe(large.toString())
    })

    it('leaves alone what is there, if asked to', async () => {
      expect(await store.write(at('k'), sampleEntry('"1"'), { ...minute, onlyIfAbsent: true })).toBe(true)
      expect(await store.write(at('k'), sampleEntry('"2"'), { ...minute, onlyIfAbsent: true })).toBe(false)
      expect(await read(at('k'))).toBe('"1"')
    })

    it('keeps at second sight, if asked to', async () => {
      const options = { ...minute, admitWithinMs: 80 }
      expect(await store.write(at('k'), sampleEntry('"1"'), options)).toBe(false)
      expect(await read(at('k'))).toBeUndefined()
      await harness.pass(100)
      expect(await store.write(at('k'), sampleEntry('"1"'), { ...options, admitWithinMs: 60_000 })).toBe(
        false,
      )
      expect(await store.write(at('k'), sampleEntry('"2"'), options)).toBe(true)
      expect(await store.write(at('k'), sampleEntry('"3"'), options)).toBe(true)
      expect(await read(at('k'))).toBe('"3"')
    })

    it('forgets an entry when its time is over', async () => {
      const kept = async () => {
        await store.write(at('k'), sampleEntry('"1"'), { ttlMs: 80 })
        expect(await read(at('k'))).toBe('"1"')
      }
      await inTime(75, kept, empty)
      await harness.pass(100)
      expect(await read(at('k'))).toBeUndefined()
    })

    it('keeps tenants and names apart, whatever is in them', async () => {
      const names = ['a', 'a/b', 'a%2Fb', '{a}', '}{', 'ü \n', '*', '%', '1:a']
      for (const tenant of names) {
        for (const own of names) await store.write(at(own, tenant), sampleEntry(`"${tenant} ${own}"`), minute)
      }
      for (const tenant of names) {
        for (const own of names) expect(await read(at(own, tenant))).toBe(`"${tenant} ${own}"`)
      }
    })

    it('deletes, and says how many there were', async () => {
      await store.write(at('a'), sampleEntry('"1"'), minute)
      await store.write(at('b'), sampleEntry('"2"'), minute)
      expect(await store.delete([at('a'), at('b'), at('c')])).toBe(2)
      expect(await store.delete([at('a')])).toBe(0)
      expect(await read(at('a'))).toBeUndefined()
    })

    it('knows what was deleted, so that nothing older is handed over', async () => {
      await store.delete([at('a')])
      const handedOver = { ...minute, onlyIfAbsent: true, unlessDeleted: true }
      expect(await store.write(at('a'), sampleEntry('"old"'), handedOver)).toBe(false)
      expect(await store.write(at('b'), sampleEntry('"new"'), handedOver)).toBe(true)
      expect(await store.wereDeleted([at('a'), at('b'), at('a', 'other')])).toEqual([true, false, false])
      expect(await store.write(at('a'), sampleEntry('"new"'), minute)).toBe(true)
      expect(await read(at('a'))).toBe('"new"')
    })

    it('sets versions of one tenant, as often as it is told', async () => {
      const [other] = (await store.read(at('k', 'other'), [''])).versions
      await store.invalidate(
        'n',
        new Map([
          ['', 'e2'],
          ['tag', 't2'],
        ]),
      )
      await store.invalidate(
        'n',
        new Map([
          ['', 'e2'],
          ['tag', 't2'],
        ]),
      )
      expect((await store.read(at('k'), ['tag', ''])).versions).toEqual(['t2', 'e2'])
      expect(await store.versions('n', ['', 'tag'])).toEqual(['e2', 't2'])
      expect((await store.read(at('k', 'other'), [''])).versions).toEqual([other])
    })

    it('names what matches a pattern', async () => {
      for (const own of ['x:a:1', 'x:b:1', 'y:a:2', 'x:{c}:1', 'x:[d]:1']) {
        await store.write(at(own), sampleEntry('"1"'), minute)
      }
      await store.write(at('x:a:9', 'other'), sampleEntry('"1"'), minute)
      const matching = async (pattern: string) => {
        const found = new Set<string>()
        for await (const page of store.names('n', pattern)) for (const own of page) found.add(own)
        return [...found].sort()
      }
      expect(await matching('*')).toEqual(['x:[d]:1', 'x:a:1', 'x:b:1', 'x:{c}:1', 'y:a:2'])
      expect(await matching('x:*')).toEqual(['x:[d]:1', 'x:a:1', 'x:b:1', 'x:{c}:1'])
      expect(await matching('?:a:*')).toEqual(['x:a:1', 'y:a:2'])
      expect(await matching('x:[a-b]:1')).toEqual(['x:a:1', 'x:b:1'])
      expect(await matching('x:[^a]:1')).toEqual(['x:b:1'])
      expect(await matching('x:{c}:*')).toEqual(['x:{c}:1'])
      expect(await matching('x:\\[d\\]:1')).toEqual(['x:[d]:1'])
      expect(await matching('none')).toEqual([])
    })
  })
}
