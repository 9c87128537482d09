import { ManualClock } from '@evenkeel/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkNode } from '../src/nodes/node.js'
import { MemoryRegistryStore } from '../src/registry/memory.js'

const leaseMs = 60_000
const coordinators = 3

/** As `Registry` does: takes what is newer there, and sends what is newer here. */
async function exchange(local: MemoryRegistryStore, shared: MemoryRegistryStore): Promise<void> {
  const ahead = local.merge(await shared.read(), leaseMs)
  for (const { node, revision } of ahead.registrations) await shared.put(node, leaseMs, revision)
  for (const [id, revision] of ahead.removed) await shared.remove(id, revision)
  local.told(ahead)
  local.merge(await shared.read(), leaseMs)
}

const contentOf = (store: MemoryRegistryStore) => {
  const { registrations } = store.known()
  return new Map(registrations.map(({ node }) => [node.id, [node.endpoint, node.capacity]]).sort() as [])
}

describe('what coordinators know', () => {
  it('becomes one, with the last change of each node, whatever the order of changes, losses and meetings', async () => {
    const step = fc.record({
      who: fc.nat(coordinators - 1),
      id: fc.constantFrom('a', 'b', 'c'),
      action: fc.constantFrom('put', 'put', 'remove', 'meet', 'meet', 'flush'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = new ManualClock()
        const locals = Array.from({ length: coordinators }, () => new MemoryRegistryStore({ clock }))
        let shared = new MemoryRegistryStore({ clock })
        const expected = new Map<string, unknown>()
        for (const [index, { who, id, action }] of steps.entries()) {
          clock.advance(1)
          const local = locals[who] ?? shared
          if (action === 'flush') shared = new MemoryRegistryStore({ clock })
          else if (action === 'meet') await exchange(local, shared)
          else if (action === 'put') {
            const capacity = index + 1
            await local.put(checkNode({ id, endpoint: `http://${id}:1`, capacity }), leaseMs)
            expected.set(id, [`http://${id}:1`, capacity])
          } else if ((await local.remove(id)).removed) expected.delete(id)
        }
        // A removal that only one store remembers needs three rounds: another store sends the node, the first one sends
        // its removal, and all get it.
        for (let round = 0; round < 3; round++) for (const local of locals) await exchange(local, shared)
        for (const store of [shared, ...locals]) {
          expect(Object.fromEntries(contentOf(store))).toEqual(Object.fromEntries(expected))
        }
        // Nothing is left to send; otherwise it would be sent for ever.
        for (const local of locals) {
          const { registrations, removed } = local.merge(await shared.read(), leaseMs)
          expect([registrations.length, removed.size]).toEqual([0, 0])
        }
      }),
      { numRuns: 5000 },
    )
  })

  it('is one node where two registered its endpoint under two names, the newer registration of it', async () => {
    for (const order of [
      [0, 1, 0],
      [1, 0, 1],
    ]) {
      const clock = new ManualClock()
      const shared = new MemoryRegistryStore({ clock })
      const locals = [new MemoryRegistryStore({ clock }), new MemoryRegistryStore({ clock })]
      for (const [index, local] of locals.entries()) {
        clock.advance(1)
        const input = { id: `name-${index}`, endpoint: 'http://same:1', capacity: index + 1 }
        await local.put(checkNode(input), leaseMs)
      }
      for (const who of order) await exchange(locals[who] ?? shared, shared)
      for (const store of [shared, ...locals]) {
        expect(store.known().registrations.map(({ node }) => node.capacity)).toEqual([2])
      }
    }
  })
})
