import { beforeEach, describe, expect, it } from 'vitest'
import { checkNode, type NodeInput } from '../nodes/node.js'
import type { RegistryStore } from '../registry/port.js'

export interface RegistryStoreLimits {
  readonly maxNodes?: number | undefined
  readonly maxRemoved?: number | undefined
}

export interface RegistryStoreHarness {
  /** An empty store. */
  create(limits?: RegistryStoreLimits): Promise<RegistryStore> | RegistryStore
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

const leaseMs = 60_000

/** What every {@link RegistryStore} must do, as vitest tests. */
export function testRegistryStore(name: string, harness: RegistryStoreHarness): void {
  describe(`a registry store: ${name}`, () => {
    let store: RegistryStore

    beforeEach(async () => {
      store = await harness.create()
    })

    const node = (id: string, more: Partial<NodeInput> = {}) =>
      checkNode({ id, endpoint: `http://${id}.internal:8000`, ...more })
    const ids = async () => (await store.read()).registrations.map((one) => one.node.id).sort()

    it('holds what was put, in every field', async () => {
      const full = node('a', {
        region: 'eu',
        gpuType: 'A100',
        capacity: 100,
        tags: ['b', 'a'],
        adapters: ['en-de'],
        model: 'm',
        version: '2',
        weight: 3,
        metadata: { rack: 'ü "7"\n', nested: [1, { x: null }] },
      })
      const put = await store.put(full, leaseMs)
      expect(put).toEqual({ id: 'a', revision: expect.any(Number), version: 1, outcome: 'created' })
      const { complete, registrations, version, removed, expired } = await store.read()
      expect(JSON.parse(JSON.stringify(registrations))).toEqual([
        { node: JSON.parse(JSON.stringify(full)), revision: put.revision },
      ])
      expect([complete, version, removed.size, expired.size]).toEqual([true, 1, 0, 0])
    })

    it('counts a change, and no repetition', async () => {
      const { revision } = await store.put(node('a'), leaseMs)
      expect(await store.put(node('a'), leaseMs)).toMatchObject({ outcome: 'renewed', revision, version: 1 })
      const changed = await store.put(node('a', { capacity: 2 }), leaseMs)
      expect(changed).toMatchObject({ outcome: 'updated', version: 2 })
      expect(changed.revision).toBeGreaterThan(revision)
    })

    it('promise 6: takes a change that is made again, with its revision, for the same one', async () => {
      const future = (Date.now() + 1e9) * 1_000
      for (const outcome of ['created', 'stale', 'stale']) {
        expect(await store.put(node('a'), leaseMs, future)).toMatchObject({ outcome, version: 1 })
      }
      for (const removed of [true, false, false]) {
        expect(await store.remove('a', future + 1)).toMatchObject({ removed, version: 2 })
      }
    })

    it('counts on from the clock, so that what comes after a loss of the data is newer than all before', async () => {
      const { revision } = await store.put(node('a'), leaseMs)
      await harness.pass(5)
      const emptied = await harness.create()
      expect((await emptied.put(node('a'), leaseMs)).revision).toBeGreaterThan(revision)
    })

    it('takes a change of what was read only while that is what is there', async () => {
      const { revision } = await store.put(node('a'), leaseMs)
      const changed = await store.put(node('a', { capacity: 2 }), leaseMs, undefined, revision)
      expect(changed).toMatchObject({ outcome: 'updated', version: 2 })
      expect(await store.put(node('a', { capacity: 3 }), leaseMs, undefined, revision)).toMatchObject({
        outcome: 'stale',
        revision: changed.revision,
        version: 2,
      })
      await store.remove('a')
      expect(await store.put(node('a'), leaseMs, undefined, changed.revision)).toMatchObject({
        outcome: 'stale',
      })
      expect((await store.read()).registrations).toEqual([])
      expect((await store.put(node('a'), leaseMs, undefined, 0)).outcome).toBe('created')
    })

    it('takes the same endpoint for the same node', async () => {
      await store.put(node('a', { endpoint: 'http://same:1' }), leaseMs)
      const again = await store.put(node('b', { endpoint: 'http://same:1' }), leaseMs)
      expect(again).toMatchObject({ id: 'a', outcome: 'renewed' })
      expect(await ids()).toEqual(['a'])
    })

    it('frees an endpoint that its node has left', async () => {
      await store.put(node('a', { endpoint: 'http://old:1' }), leaseMs)
      await store.put(node('a', { endpoint: 'http://new:1' }), leaseMs)
      expect(await store.put(node('b', { endpoint: 'http://old:1' }), leaseMs)).toMatchObject({
        id: 'b',
        outcome: 'created',
      })
    })

    it('remembers a removal, so that no older change undoes it', async () => {
      const { revision } = await store.put(node('a'), leaseMs)
      const removal = await store.remove('a')
      expect(removal).toMatchObject({ removed: true, version: 2 })
      expect(removal.revision).toBeGreaterThan(revision)
      expect(await store.remove('a')).toEqual({ removed: false, revision: 0, version: 2 })
      expect((await store.read()).removed).toEqual(new Map([['a', removal.revision]]))
      expect(await store.put(node('a'), leaseMs, revision)).toMatchObject({ outcome: 'stale' })
      expect(await ids()).toEqual([])
      const again = await store.put(node('a'), leaseMs)
      expect(again).toMatchObject({ outcome: 'created' })
      expect(again.revision).toBeGreaterThan(removal.revision)
      expect((await store.read()).removed.size).toBe(0)
    })

    it('remembers a removal of a node that it does not know yet', async () => {
      expect(await store.remove('a', 7)).toMatchObject({ removed: false, revision: 7 })
      expect(await store.put(node('a'), leaseMs, 6)).toMatchObject({ outcome: 'stale' })
      expect(await store.remove('b')).toMatchObject({ removed: false })
      expect((await store.read()).removed).toEqual(new Map([['a', 7]]))
    })

    it('lets the newer of two versions win, in either order, however often', async () => {
      const older = node('a', { capacity: 5 })
      const newer = node('a', { capacity: 7 })
      for (const [change, revision] of [
        [newer, 7],
        [older, 5],
        [newer, 7],
        [older, 6],
      ] as const) {
        await store.put(change, leaseMs, revision)
      }
      const { registrations } = await store.read()
      expect(registrations).toMatchObject([{ node: { capacity: 7 }, revision: 7 }])
      expect(await store.remove('a', 6)).toMatchObject({ removed: false })
      expect(await store.remove('a', 8)).toMatchObject({ removed: true })
    })

    it('tells whose lease has ended, renews it, and makes none', async () => {
      await store.put(node('a'), 60)
      await harness.pass(90)
      const [id] = (await store.read()).expired.keys()
      expect(id).toBe('a')
      expect(await store.renew(['unknown', 'a'], leaseMs)).toEqual(['unknown'])
      expect((await store.read()).expired.size).toBe(0)
      expect(await ids()).toEqual(['a'])
    })

    it('never loses a node when many are put at once', async () => {
      await Promise.all(Array.from({ length: 40 }, (_, index) => store.put(node(`n${index}`), leaseMs)))
      expect((await ids()).length).toBe(40)
      expect((await store.read()).version).toBe(40)
    })

    it('tells what changed since a position: at least that, and nothing else unless it is everything', async () => {
      for (const id of ['a', 'b', 'c', 'd']) await store.put(node(id), leaseMs)
      const before = await store.read()
      await store.put(node('a', { capacity: 2 }), leaseMs)
      await store.put(node('a', { capacity: 3 }), leaseMs)
      await store.remove('b')
      await store.remove('c')
      await store.put(node('c', { capacity: 4 }), leaseMs)
      const news = await store.read(before)
      expect(news).toMatchObject({ epoch: before.epoch, version: before.version + 5 })
      const capacities = new Map(news.registrations.map((one) => [one.node.id, one.node.capacity]))
      if (news.complete) capacities.delete('d')
      expect(capacities).toEqual(
        new Map([
          ['a', 3],
          ['c', 4],
        ]),
      )
      expect([...news.removed.keys()]).toEqual(['b'])
      const nothing = await store.read(news)
      if (!nothing.complete) expect([nothing.registrations, nothing.removed.size]).toEqual([[], 0])
    })

    it('tells everything where it does not know the position', async () => {
      await store.put(node('a'), leaseMs)
      const { epoch, version } = await store.read()
      for (const position of [
        { epoch: 'another', version },
        { epoch, version: version + 1 },
      ]) {
        const { complete, registrations } = await store.read(position)
        expect([complete, registrations.length]).toEqual([true, 1])
      }
    })

    it('promise 5: takes no more nodes than its most, and remembers only the newest removals', async () => {
      const small = await harness.create({ maxNodes: 3, maxRemoved: 3 })
      for (const id of ['a', 'b', 'c']) await small.put(node(id), leaseMs)
      expect(await small.put(node('d'), leaseMs)).toMatchObject({ outcome: 'full', version: 3 })
      expect(await small.put(node('c', { capacity: 2 }), leaseMs)).toMatchObject({ outcome: 'updated' })
      for (let revision = 1; revision <= 6; revision++) await small.remove(`gone-${revision}`, revision)
      expect(new Set((await small.read()).removed.keys())).toEqual(new Set(['gone-4', 'gone-5', 'gone-6']))
    })
  })
}
