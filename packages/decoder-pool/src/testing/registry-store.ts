import { beforeEach, describe, expect, it } from 'vitest'
import { checkNode, type NodeInput } from '../node.js'
import type { RegistryStore } from '../store.js'

export interface RegistryStoreHarness {
  /** An empty store. */
  create(): Promise<RegistryStore> | RegistryStore
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
    const ids = async () => (await store.snapshot()).registrations.map((one) => one.node.id).sort()

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
      expect(await store.put(full, leaseMs)).toEqual({ id: 'a', revision: 1, version: 1, outcome: 'created' })
      const { registrations, version, removed, expired } = await store.snapshot()
      expect(JSON.parse(JSON.stringify(registrations))).toEqual([
        { node: JSON.parse(JSON.stringify(full)), revision: 1 },
      ])
      expect([version, removed.size, expired.size]).toEqual([1, 0, 0])
    })

    it('counts a change, and no repetition', async () => {
      await store.put(node('a'), leaseMs)
      expect(await store.put(node('a'), leaseMs)).toMatchObject({
        outcome: 'renewed',
        revision: 1,
        version: 1,
      })
      expect(await store.put(node('a', { capacity: 2 }), leaseMs)).toMatchObject({
        outcome: 'updated',
        revision: 2,
        version: 2,
      })
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
      await store.put(node('a'), leaseMs)
      expect(await store.remove('a')).toEqual({ removed: true, version: 2 })
      expect(await store.remove('a')).toEqual({ removed: false, version: 2 })
      expect((await store.snapshot()).removed).toEqual(new Map([['a', 2]]))
      expect(await store.put(node('a'), leaseMs, 1)).toMatchObject({ outcome: 'stale' })
      expect(await ids()).toEqual([])
      expect(await store.put(node('a'), leaseMs)).toMatchObject({ outcome: 'created', revision: 3 })
      expect((await store.snapshot()).removed.size).toBe(0)
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
      const { registrations } = await store.snapshot()
      expect(registrations).toMatchObject([{ node: { capacity: 7 }, revision: 7 }])
      expect(await store.remove('a', 6)).toMatchObject({ removed: false })
      expect(await store.remove('a', 8)).toMatchObject({ removed: true })
    })

    it('tells whose lease has ended, renews it, and makes none', async () => {
      await store.put(node('a'), 60)
      await harness.pass(90)
      const [id] = (await store.snapshot()).expired.keys()
      expect(id).toBe('a')
      expect(await store.renew('a', leaseMs)).toBe(true)
      expect((await store.snapshot()).expired.size).toBe(0)
      expect(await store.renew('unknown', leaseMs)).toBe(false)
      expect(await ids()).toEqual(['a'])
    })

    it('never loses a node when many are put at once', async () => {
      await Promise.all(Array.from({ length: 40 }, (_, index) => store.put(node(`n${index}`), leaseMs)))
      expect((await ids()).length).toBe(40)
      expect((await store.snapshot()).version).toBe(40)
    })
  })
}
