import { describe, expect, test } from 'vitest'
import { agentMemory } from './agent-memory.js'
import { beyond } from './beyond.js'
import { cluster } from './cluster.js'
import { decoderNodes, decoderPool } from './decoder-pool.js'
import { hotSubject } from './hot-subject.js'
import { rateLimiter } from './rate-limiter.js'
import { responseCache } from './response-cache.js'
import { markdownOf, type Section, type Table } from './tables.js'

/** The tests check counts, which hold on any machine, and no times. */
const measured = async (section: Section) => {
  const tables = await section.measure({ smoke: true })
  for (const table of tables) expect(table.rows.length, table.id).toBeGreaterThan(0)
  for (const table of tables)
    for (const row of table.rows) expect(row.length, table.id).toBe(table.columns.length)
  expect(tables.map(markdownOf).join('\n')).not.toContain('undefined')
  return (id: string, column: string) => cellsOf(tables, id, column)
}

function cellsOf(tables: readonly Table[], id: string, column: string) {
  const table = tables.find((each) => each.id === id)
  if (table === undefined) throw new Error(`no table ${id}`)
  const index = table.columns.indexOf(column)
  if (index === -1) throw new Error(`no column '${column}' in ${id}`)
  return table.rows.map((row) => row[index])
}

describe('pnpm growth', () => {
  test('counts what instances and subjects of a limiter cost', async () => {
    const cells = await measured(rateLimiter)
    expect(cells('limiter-idle', 'connections')).toEqual([1, 3])
    expect(cells('limiter-busy', 'messages published')).toEqual([0, 0])
    for (const bytes of cells('limiter-subjects', 'bytes of Redis a subject'))
      expect(Number(bytes)).toBeGreaterThan(80)
  })

  test('counts what instances and answers of a cache cost, and one call for a cold key', async () => {
    const cells = await measured(responseCache)
    expect(cells('cache-cold-key', 'calls to the provider')).toEqual([1, 1])
    for (const bytes of cells('cache-entries', 'bytes of Redis an answer'))
      expect(Number(bytes)).toBeGreaterThan(500)
  })

  test('counts what instances, threads and messages of agent memory cost', async () => {
    const cells = await measured(agentMemory)
    for (const commands of cells('memory-busy', 'commands'))
      expect(Number(commands)).toBeGreaterThanOrEqual(1)
    for (const bytes of cells('memory-messages', 'bytes of Redis a message'))
      expect(Number(bytes)).toBeGreaterThan(400)
  })

  test('counts what coordinators and nodes of a pool cost', async () => {
    expect((await measured(decoderPool))('pool-idle', 'instances')).toEqual([1, 3])
    const cells = await measured(decoderNodes)
    expect(cells('pool-changes', 'messages published')).toEqual([1, 1])
    for (const bytes of cells('pool-nodes', 'bytes of Redis a node'))
      expect(Number(bytes)).toBeGreaterThan(200)
  })

  test('shows what three primaries make of the work of one server', async () => {
    const cells = await measured(cluster)
    const names = cells('cluster', 'operation')
    const at = (name: string, column: string) => Number(cells('cluster', column)[names.indexOf(name)])
    const batch = 'limiter: 64 at once, as many subjects'
    expect(at(batch, 'commands, one server')).toBeLessThan(0.1)
    expect(at(batch, 'commands, Cluster')).toBeGreaterThanOrEqual(1)
    expect(at(batch, '% at the busiest primary')).toBeLessThan(60)
    expect(at('memory: 64 at once, threads of one owner', '% at the busiest primary')).toBeGreaterThan(80)
  })

  test('shows that leases save commands of a hot subject', async () => {
    const cells = await measured(hotSubject)
    const [without] = cells('leases', 'commands a decision')
    const [leased] = cells('leases', 'with leases')
    expect(Number(leased)).toBeLessThan(Number(without) / 2)
  })

  test('simulates as many commands as are measured', async () => {
    const cells = await measured(beyond)
    const told = cells('simulation-check', 'commands, simulated')
    // Heartbeats are among the commands: the slower the machine, the more of them.
    for (const [index, commands] of cells('simulation-check', 'commands a decision').entries()) {
      expect(Number(commands)).toBeGreaterThan(Number(told[index]) * 0.99)
      expect(Number(commands)).toBeLessThan(Number(told[index]) * 1.6)
    }
  })
})
