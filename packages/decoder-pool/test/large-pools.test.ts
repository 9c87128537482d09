import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createDecoderPool, type DecoderPool } from '../src/index.js'
import { checkNode } from '../src/nodes/node.js'
import { NodeState } from '../src/nodes/node-state.js'
import { MemoryRegistryStore } from '../src/registry/memory.js'
import type { Registration } from '../src/registry/port.js'

const leaseMs = 60_000
const inputs = (count: number, more: object = {}) =>
  Array.from({ length: count }, (_, index) => ({
    id: `n${index}`,
    endpoint: `http://n${index}.internal:8000`,
    ...more,
  }))

/** Counts the work for one change, because its time would depend on the machine. */
describe('a pool of thousands of nodes', () => {
  const pools: DecoderPool[] = []
  let folder: string | undefined
  const poolOf = async (options: Parameters<typeof createDecoderPool>[0]) => {
    const pool = await createDecoderPool({ probe: false, ...options })
    pools.push(pool)
    return pool
  }

  afterEach(async () => {
    vi.restoreAllMocks()
    for (const pool of pools.splice(0)) await pool.close()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  it('looks at one node for each that registers', async () => {
    const looks = vi.spyOn(NodeState.prototype, 'update')
    const pool = await poolOf({})
    const added: number[] = []
    pool.on('change', (change) => added.push(change.added.length))
    for (const input of inputs(1_500)) await pool.register(input)
    expect(pool.status().nodes).toHaveLength(1_500)
    expect(added).toEqual(Array.from({ length: 1_500 }, () => 1))
    expect(looks.mock.calls.length).toBeLessThanOrEqual(2 * 1_500)
  })

  it('looks at each node that an edit of the file changed, and not again for each of the others', async () => {
    folder = await mkdtemp(join(tmpdir(), 'evenkeel-pool-'))
    const path = join(folder, 'pool.json')
    await writeFile(path, JSON.stringify(inputs(1_500, { capacity: 1 })))
    const pool = await poolOf({ file: path, pollInterval: 20 })
    const looks = vi.spyOn(NodeState.prototype, 'update')
    await writeFile(path, JSON.stringify(inputs(1_500, { capacity: 2 })))
    await until(() => pool.status().nodes.every(({ node }) => node.capacity === 2), 20_000)
    expect(looks.mock.calls.length).toBeLessThanOrEqual(3 * 1_500)
    await pool.close()
    expect(JSON.parse(await readFile(path, 'utf8')).nodes).toHaveLength(1_500)
  })

  it('compares a change that is told with what it concerns alone', async () => {
    let looks = 0
    const counted = (input: { id: string; endpoint: string }): Registration => ({
      node: checkNode(input),
      get revision() {
        looks++
        return 10
      },
    })
    const store = new MemoryRegistryStore()
    const registrations = inputs(3_000).map(counted)
    store.merge({ complete: true, registrations, removed: new Map() }, leaseMs)
    looks = 0
    const one = { ...counted({ id: 'n1', endpoint: 'http://n1.internal:8000' }), revision: 11 }
    store.merge({ complete: false, registrations: [one], removed: new Map([['n2', 12]]) }, leaseMs)
    expect(store.get('n1')?.revision).toBe(11)
    expect(store.get('n2')).toBeUndefined()
    expect(looks).toBeLessThan(10)
  })

  it('finds the leases that have ended, whatever they lasted', async () => {
    let now = 0
    const clock = { now: () => now, monotonic: () => now }
    const store = new MemoryRegistryStore({ clock })
    for (const input of inputs(4)) await store.put(checkNode(input), 1_000)
    now = 500
    await store.renew(['n1'], 1_000)
    await store.renew(['n2'], 100)
    now = 1_200
    expect(new Map(store.news().expired)).toEqual(
      new Map([
        ['n0', 200],
        ['n2', 200],
        ['n3', 200],
      ]),
    )
    await store.put(checkNode({ id: 'n0', endpoint: 'http://n0.internal:8000' }), 100)
    now = 1_350
    expect(new Map(store.news().expired)).toEqual(
      new Map([
        ['n0', 50],
        ['n2', 350],
        ['n3', 350],
      ]),
    )
  })
})
