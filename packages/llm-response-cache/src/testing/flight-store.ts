import { inTime } from '@evenkeel/core/testing'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { EntryKey, EntryStore, FlightStore, LogRecord } from '../stores/port.js'
import { sampleEntry } from './entry-store.js'

export interface FlightStoreHarness {
  /** Two empty stores that belong together. */
  create():
    | Promise<{ readonly entries: EntryStore; readonly flights: FlightStore }>
    | { readonly entries: EntryStore; readonly flights: FlightStore }
  /** Lets this many milliseconds go by, for the stores. */
  pass(ms: number): Promise<void> | void
}

/** What every {@link FlightStore} must do, as vitest tests. */
export function testFlightStore(name: string, harness: FlightStoreHarness): void {
  describe(`a flight store: ${name}`, () => {
    let entries: EntryStore
    let flights: FlightStore
    const entryKey: EntryKey = { tenant: 'n', name: 'k {1}' }
    const minute = { ttlMs: 60_000 }

    const empty = async () => {
      ;({ entries, flights } = await harness.create())
    }
    beforeEach(empty)

    const begin = (generation: string, unlessId = '', leaseMs = 60_000) =>
      flights.begin(entryKey, { generation, owner: `owner of ${generation}`, leaseMs, unlessId })
    const data = (text: string): LogRecord => ({ type: 'data', data: Buffer.from(text) })
    const told = async (generation: string, cursor = '0') => {
      const { state, records } = await flights.look(entryKey, generation, cursor)
      return [state, ...records.map((record) => `${record.type} ${record.data}`)]
    }

    it('lets one lead, and the others follow', async () => {
      expect(await begin('g1')).toEqual({ role: 'lead' })
      expect(await begin('g1')).toEqual({ role: 'lead' })
      const versions = [{ name: 'täg', value: 'v1' }]
      const other = { ...entryKey, name: 'other' }
      const options = { owner: 'owner of g1', leaseMs: 60_000, unlessId: '', versions }
      await flights.begin(other, { ...options, generation: 'g1' })
      const followed = { role: 'follow', generation: 'g1', owner: 'owner of g1' }
      expect(await begin('g2')).toEqual({ ...followed, versions: [] })
      expect(await flights.begin(other, { ...options, generation: 'g2', versions: [] })).toEqual({
        ...followed,
        versions,
      })
      expect(await flights.renew(entryKey, 'g1', 60_000)).toBe(1)
      expect(await flights.renew(entryKey, 'g2', 60_000)).toBe(-1)
    })

    it('lets one of many lead who begin at once', async () => {
      const roles = await Promise.all(Array.from({ length: 20 }, (_, index) => begin(`g${index}`)))
      expect(roles.filter(({ role }) => role === 'lead')).toHaveLength(1)
    })

    it('gives what is there, unless it is of no use', async () => {
      const entry = sampleEntry('"1"', { id: 'aabbccdd' })
      await entries.write(entryKey, entry, minute)
      expect(await begin('g1')).toEqual({ role: 'hit', entry })
      expect(await begin('g1', '11223344')).toEqual({ role: 'hit', entry })
      expect(await begin('g1', 'aabbccdd')).toEqual({ role: 'lead' })
    })

    it('tells followers what the leader adds, in its order, each once although it was added twice', async () => {
      await begin('g1')
      await begin('g2')
      const first = [{ type: 'head', data: Buffer.from('{}') } as const, data('a')]
      expect(await flights.append(entryKey, 'g1', 60_000, 0, first)).toBe(1)
      expect(await flights.append(entryKey, 'g1', 60_000, 0, first)).toBe(1)
      const { cursor } = await flights.look(entryKey, 'g1', '0')
      await flights.append(entryKey, 'g1', 60_000, 2, [data('\0ü')])
      expect(await told('g1')).toEqual(['live', 'head {}', 'data a', 'data \0ü'])
      expect(await told('g1', cursor)).toEqual(['live', 'data \0ü'])
    })

    it('ends a flight whose log has lost records, and never shows followers an answer with a gap', async () => {
      await begin('g1')
      await begin('g2')
      expect(await flights.append(entryKey, 'g1', 60_000, 2, [data('third'), data('fourth')])).toBe(-1)
      expect(await told('g1')).toEqual(['gone'])
      expect(await begin('g3')).toEqual({ role: 'lead' })
    })

    it('commits the entry and ends the flight at once', async () => {
      await begin('g1')
      await begin('g2')
      const entry = sampleEntry('"1"')
      expect(await flights.commit(entryKey, 'g1', entry, { ...minute, published: false })).toBe('kept')
      expect((await entries.read(entryKey, [])).entry).toEqual(entry)
      expect(await told('g1')).toEqual(['gone', 'end 0'])
      expect(await begin('g3', entry.id)).toEqual({ role: 'lead' })
    })

    it('does not keep what was begun before its entry was deleted', async () => {
      await begin('g1')
      await begin('g2')
      await entries.delete([entryKey])
      const entry = sampleEntry('"1"')
      expect(await flights.commit(entryKey, 'g1', entry, { ...minute, published: false })).toBe('publish')
      await flights.append(entryKey, 'g1', 60_000, 0, [data('all')])
      expect(await flights.commit(entryKey, 'g1', entry, { ...minute, published: true, records: 1 })).toBe(
        'released',
      )
      expect((await entries.read(entryKey, [])).entry).toBeUndefined()
      expect(await told('g1')).toEqual(['gone', 'data all', 'end 1'])
    })

    it('lets who asks after a deletion lead, where nobody follows what was begun before', async () => {
      await begin('g1')
      await entries.delete([entryKey])
      expect(await begin('g2')).toEqual({ role: 'lead' })
      const entry = sampleEntry('"2"')
      expect(await flights.commit(entryKey, 'g1', sampleEntry('"1"'), { ...minute, published: false })).toBe(
        'fenced',
      )
      expect(await flights.commit(entryKey, 'g2', entry, { ...minute, published: false })).toBe('kept')
      expect((await entries.read(entryKey, [])).entry).toEqual(entry)
    })

    it('lets nobody who asks after a deletion follow what others follow since before', async () => {
      await begin('g1')
      await begin('g2')
      await entries.delete([entryKey])
      expect(await begin('g3')).toEqual({ role: 'apart' })
      await flights.append(entryKey, 'g1', 60_000, 0, [data('all')])
      const whole = { ...minute, published: true, records: 1 }
      expect(await flights.commit(entryKey, 'g1', sampleEntry('"1"'), whole)).toBe('released')
      expect(await told('g1')).toEqual(['gone', 'data all', 'end 1'])
      expect(await begin('g3')).toEqual({ role: 'lead' })
    })

    it('does not keep what is under way for names, or a model, that are cleared', async () => {
      const at = (name: string, tenant = 'n'): EntryKey => ({ tenant, name })
      const lead = (key: EntryKey, generation: string, model?: string) =>
        flights.begin(key, { generation, owner: 'o', leaseMs: 60_000, unlessId: '', model })
      const keys = [at('x:{1}:a'), at('x:{1}:b'), at('y:a'), at('x:{1}:a', 'other')]
      for (const key of keys) await lead(key, 'g1', key.name.endsWith('a') ? 'm' : 'other')
      await flights.void('n', 'x:{1}:*', 'm')
      const outcomes = async (generation: string) => {
        const all: string[] = []
        for (const key of keys) {
          const options = { ...minute, published: false }
          all.push(await flights.commit(key, generation, sampleEntry('"1"'), options))
        }
        return all
      }
      expect(await outcomes('g1')).toEqual(['released', 'kept', 'kept', 'kept'])
      await entries.delete([...keys.slice(0, 3)])
      for (const key of keys.slice(0, 3)) await lead(key, 'g2')
      await flights.void('n', 'x:*')
      await flights.void('n', 'none')
      expect((await outcomes('g2')).slice(0, 3)).toEqual(['released', 'released', 'kept'])
    })

    it('asks for the answer in the log where nothing else would tell it', async () => {
      await begin('g1')
      await begin('g2')
      expect(await flights.commit(entryKey, 'g1', undefined, { ttlMs: 1, published: false })).toBe('publish')
      await flights.append(entryKey, 'g1', 60_000, 0, [data('x')])
      const whole = { ttlMs: 1, published: true, records: 1 }
      expect(await flights.commit(entryKey, 'g1', undefined, whole)).toBe('released')
      expect(await told('g1')).toEqual(['gone', 'data x', 'end 1'])
    })

    it('keeps at second sight only, and what is followed at once', async () => {
      const options = { ...minute, admitWithinMs: 60_000, published: false }
      await begin('g1')
      expect(await flights.commit(entryKey, 'g1', sampleEntry('"1"'), options)).toBe('released')
      await begin('g2')
      expect(await flights.commit(entryKey, 'g2', sampleEntry('"2"'), options)).toBe('kept')
      await entries.delete([entryKey])
      const other = { ...entryKey, name: 'followed' }
      await flights.begin(other, { generation: 'g1', owner: 'o', leaseMs: 60_000, unlessId: '' })
      await flights.begin(other, { generation: 'g2', owner: 'o', leaseMs: 60_000, unlessId: '' })
      expect(await flights.commit(other, 'g1', sampleEntry('"3"'), options)).toBe('kept')
    })

    it('fences a leader whose lease has ended', async () => {
      await begin('g1', '', 80)
      await harness.pass(100)
      expect(await begin('g2')).toEqual({ role: 'lead' })
      expect(await flights.append(entryKey, 'g1', 60_000, 0, [data('late')])).toBe(-1)
      expect(
        await flights.commit(entryKey, 'g1', sampleEntry('"late"'), { ...minute, published: false }),
      ).toBe('fenced')
      await flights.fail(entryKey, 'g1', Buffer.from('late'))
      expect((await entries.read(entryKey, [])).entry).toBeUndefined()
      expect(await told('g1')).toEqual(['gone'])
      expect(await flights.renew(entryKey, 'g2', 60_000)).toBe(0)
    })

    it('keeps a lease that is renewed', async () => {
      const renewed = async () => {
        await begin('g1', '', 200)
        expect(await flights.renew(entryKey, 'g1', 60_000)).toBe(0)
      }
      await inTime(195, renewed, empty)
      await harness.pass(300)
      expect(await begin('g2')).toMatchObject({ role: 'follow' })
    })

    it('tells followers of a failure', async () => {
      await begin('g1')
      await begin('g2')
      await flights.fail(entryKey, 'g1', Buffer.from('why'))
      expect(await told('g1')).toEqual(['gone', 'failed why'])
      expect(await begin('g3')).toEqual({ role: 'lead' })
    })

    it('tells of news, and summons a leader', async () => {
      const news = vi.fn()
      const summoned = vi.fn()
      const stops = [await flights.watch(entryKey, news), await flights.onNotified('owner of g1', summoned)]
      await begin('g1')
      await begin('g2')
      flights.notifyLeader('owner of g1', entryKey)
      await vi.waitFor(() => expect(summoned).toHaveBeenCalledWith(entryKey), 20_000)
      await flights.append(entryKey, 'g1', 60_000, 0, [data('x')])
      await vi.waitFor(() => expect(news).toHaveBeenCalled(), 20_000)
      for (const stop of stops) stop()
    })
  })
}
