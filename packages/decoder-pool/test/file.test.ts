import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@evenkeel/test-servers'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { MirrorDamagedError, PoolChange } from '../src/index.js'
import { idsOf, node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

interface MirrorFile {
  readonly nodes: object[]
  readonly experiments: object[]
}

const experiment = { languagePair: 'en-de', trafficPercentage: 20, experimentTags: ['v2'] }

describe('the file', () => {
  const folders: string[] = []
  let file: string

  beforeEach(() => {
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-pool-'))
    folders.push(folder)
    file = join(folder, 'config', 'pool.json')
  })
  // `afterAll`, because the pools write when they close, which is after `afterEach`.
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  })

  const written = () => JSON.parse(readFileSync(file, 'utf8')).nodes.map(({ id }: { id: string }) => id)

  it('mirrors the pool, and gives it back to the next process', async () => {
    const first = await create({ file })
    await first.register(node('a', { tags: ['x'] }))
    await first.register(node('b'))
    await first.close()
    expect(written()).toEqual(['a', 'b'])
    const second = await create({ file })
    expect(idsOf(second)).toEqual(['a', 'b'])
    expect(second.pick({ tags: ['x'] })?.id).toBe('a')
  })

  it.each([
    ['cut off', (text: string) => text.slice(0, text.length / 2)],
    ['of another shape', () => '{"nodes": 7}'],
    ['empty', () => ''],
  ])(
    'that is %s is told of, the last good one is used, and no empty pool overwrites it',
    async (_, damage) => {
      const first = await create({ file })
      await first.register(node('a'))
      await first.register(node('b'))
      await first.close()
      const damaged = damage(readFileSync(file, 'utf8'))
      writeFileSync(file, damaged)
      const pool = await create({ file })
      const warning = await new Promise<MirrorDamagedError>((resolve) => pool.on('warning', resolve))
      expect(warning.code).toBe('MIRROR_DAMAGED')
      expect(idsOf(pool)).toEqual(['a', 'b'])
      await pool.close()
      rmSync(`${file}.1`)
      writeFileSync(file, damaged)
      const empty = await create({ file })
      await new Promise((resolve) => empty.on('warning', resolve))
      await empty.close()
      expect(readFileSync(file, 'utf8')).toBe(damaged)
    },
  )

  it('that is edited while nobody runs is taken, its checksum left as it was', async () => {
    const first = await create({ file })
    await first.register(node('a'))
    await first.close()
    writeFileSync(file, readFileSync(file, 'utf8').replace('"capacity": 2', '"capacity": 9'))
    const warnings: string[] = []
    const pool = await create({ file, pollInterval: 20 })
    pool.on('warning', ({ message }) => warnings.push(message))
    await until(() => pool.inspect('a')?.node.capacity === 9)
    expect(warnings).toEqual([])
    await pool.close()
    expect(readFileSync(file, 'utf8')).toContain('"capacity": 9')
  })

  it('that was changed behind its checksum, of which there is no copy, is told of and left alone', async () => {
    const first = await create({ file })
    await first.register(node('a'))
    await first.close()
    const damaged = readFileSync(file, 'utf8').replace('"capacity": 2', '"capacity": 9')
    writeFileSync(file, damaged)
    rmSync(`${file}.1`)
    const pool = await create({ file })
    await new Promise((resolve) => pool.on('warning', resolve))
    await pool.close()
    expect(readFileSync(file, 'utf8')).toBe(damaged)
  })

  it('that is damaged is put aside, and not lost, when there is a pool to write again', async () => {
    const first = await create({ file })
    await first.register(node('a'))
    await first.close()
    writeFileSync(file, 'damaged')
    const pool = await create({ file })
    pool.on('warning', () => {})
    await pool.register(node('b'))
    await pool.close()
    expect(written()).toEqual(['a', 'b'])
    expect(readFileSync(`${file}.damaged`, 'utf8')).toBe('damaged')
  })

  it('of another pool is not taken for this one’s', async () => {
    const first = await create({ file, name: 'blue' })
    await first.register(node('a'))
    await first.close()
    const pool = await create({ file, name: 'green' })
    const warning = await new Promise<MirrorDamagedError>((resolve) => pool.on('warning', resolve))
    expect(warning.message).toContain("of the pool 'blue'")
    expect(idsOf(pool)).toEqual([])
  })

  it('remembers removals, and is written although the last node was removed', async () => {
    const first = await create({ file })
    await first.register(node('a'))
    await first.deregister('a')
    await first.close()
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      nodes: [],
      removed: { a: expect.any(Number) },
    })
  })

  it('that can’t be written is told of, and stops nobody', async () => {
    writeFileSync(join(folders.at(-1) ?? '', 'config'), 'a file where the folder should be')
    const pool = await create({ file })
    const warnings: string[] = []
    pool.on('warning', ({ message }) => warnings.push(message))
    await pool.register(node('a'))
    await until(() => warnings.some((message) => message.includes('could not be written')), 1_000)
    expect(pool.pick()?.id).toBe('a')
  })

  it('may be written by hand, with the names of the seed system', async () => {
    const first = await create({ file })
    await first.register(node('a'))
    await first.close()
    writeFileSync(
      file,
      JSON.stringify({
        nodes: [{ node_id: 'h', endpoint: 'http://h:1', gpu_type: 'A100', hot_adapters: ['x'] }],
      }),
    )
    const pool = await create({ file })
    expect(pool.status().nodes[0]?.node).toMatchObject({
      id: 'h',
      gpuType: 'A100',
      adapters: ['x'],
      capacity: 1,
    })
  })

  describe('while the pool runs', () => {
    const running = async (...names: string[]) => {
      const pool = await create({ file, pollInterval: 20 })
      const warnings: string[] = []
      pool.on('warning', ({ message }) => warnings.push(message))
      for (const name of names) await pool.register(node(name))
      await until(() => existsSync(file) && written().length === names.length)
      const edit = (change: (content: MirrorFile) => void) => {
        const content: MirrorFile = JSON.parse(readFileSync(file, 'utf8'))
        change(content)
        writeFileSync(file, JSON.stringify(content))
      }
      return { pool, warnings, edit }
    }

    it('takes an edit by hand: nodes that are other, new, and gone, whatever the checksum says', async () => {
      const { pool, edit } = await running('a', 'b', 'c')
      edit(({ nodes }) => {
        nodes.splice(1, 1, { endpoint: 'http://new:1', id: 'new', max_concurrent: 7 })
        Object.assign(nodes[0] ?? {}, { capacity: 50 })
      })
      await until(() => idsOf(pool).join() === 'a,c,new')
      const capacities = pool.status().nodes.map(({ node: { id, capacity } }) => [id, capacity])
      expect(Object.fromEntries(capacities)).toEqual({ a: 50, c: 2, new: 7 })
      await until(() => JSON.parse(readFileSync(file, 'utf8')).removed.b > 0)
    })

    it('an edit of thousands of nodes is looked at as a whole, not once for each', async () => {
      const { pool, edit } = await running('a')
      const looks: number[] = []
      for (const count of [1_000, 4_000]) {
        const changes: PoolChange[] = []
        const stop = pool.on('change', (change) => changes.push(change))
        edit(({ nodes }) => {
          // The first node stays, because an edit that removes most nodes would be refused.
          nodes.splice(1)
          for (let index = 0; index < count; index++) {
            nodes.push({ id: `n${index}`, endpoint: `http://n${index}:1`, capacity: count })
          }
        })
        await until(() => pool.inspect(`n${count - 1}`)?.node.capacity === count, 30_000)
        await until(() => pool.status().nodes.length === count + 1, 30_000)
        expect(pool.status().nodes.filter(({ node }) => node.capacity === count)).toHaveLength(count)
        looks.push(changes.length)
        stop()
      }
      // One change event at the beginning, one at the end, and one for each second that the machine needs.
      expect(Math.max(...looks)).toBeLessThan(100)
    })

    it('nodes that change their addresses among each other are taken by an edit as it stands', async () => {
      const { pool, edit } = await running('a', 'b', 'c')
      edit(({ nodes }) => {
        nodes.splice(0)
        nodes.push(
          { id: 'a', endpoint: 'http://b.internal:8000' },
          { id: 'b', endpoint: 'http://a.internal:8000' },
        )
        nodes.push({ id: 'd', endpoint: 'http://c.internal:8000' })
      })
      await until(() => pool.inspect('d') !== undefined, 5_000)
      const endpoints = pool.status().nodes.map(({ node }) => [node.id, node.endpoint])
      expect(endpoints.sort()).toEqual([
        ['a', 'http://b.internal:8000'],
        ['b', 'http://a.internal:8000'],
        ['d', 'http://c.internal:8000'],
      ])
    })

    it('keeps what joined while somebody edited', async () => {
      const { pool, edit } = await running('a', 'b')
      const before = readFileSync(file, 'utf8')
      await pool.register(node('late'))
      await until(() => written().includes('late'))
      // An editor that opened the file before that saves it now.
      writeFileSync(file, before.replace('"capacity": 2', '"capacity": 5'))
      await until(() => pool.status().nodes.some(({ node: { capacity } }) => capacity === 5))
      expect(idsOf(pool)).toEqual(['a', 'b', 'late'])
      await until(() => written().length === 3)
      edit(({ nodes }) => nodes.push({ id: 'd', endpoint: 'http://d:1' }))
      await pool.register(node('later'))
      await until(() => idsOf(pool).join() === 'a,b,d,late,later')
    })

    it('that is saved half, and then whole, is taken when it is whole, and nobody is warned', async () => {
      const { pool, warnings, edit } = await running('a')
      const whole = readFileSync(file, 'utf8')
      // Another part in each turn of the event loop, so that no two checks see the same, even on a slow machine.
      const endsAt = performance.now() + 200
      for (let at = 20; performance.now() < endsAt; at = at + 7 < whole.length ? at + 7 : 20) {
        writeFileSync(file, whole.slice(0, at))
        await new Promise((resolve) => setImmediate(resolve))
      }
      writeFileSync(file, whole)
      edit(({ nodes }) => nodes.push({ id: 'b', endpoint: 'http://b:1' }))
      await until(() => idsOf(pool).join() === 'a,b')
      expect(warnings).toEqual([])
    })

    it('that stays damaged is told of once, with the line and what is wrong there', async () => {
      const { pool, warnings } = await running('a')
      writeFileSync(
        file,
        '{\n  "nodes": [\n    { "endpoint": "http://a:1" }\n    { "endpoint": "http://b:1" }\n  ]\n}',
      )
      await until(() => warnings.length > 0)
      expect(warnings[0]).toContain('line 4: no JSON, comma expected')
      writeFileSync(file, '{\n  "nodes": [\n    { "endpoint": "http://a:1", "capacity": 0 }\n  ]\n}')
      await until(() => warnings.length > 1)
      expect(warnings[1]).toMatch(/line 3, nodes\[0\]: .*capacity/)
      expect(idsOf(pool)).toEqual(['a'])
      await pool.register(node('b'))
      await until(() => existsSync(`${file}.damaged`))
      await until(() => written().length === 2)
      expect(warnings).toHaveLength(2)
    })

    it.each([
      ['empty', 0],
      ['less than half of what it was', 1],
    ])('that is %s all at once is not obeyed', async (_, left) => {
      const { pool, warnings, edit } = await running('a', 'b', 'c')
      edit(({ nodes }) => nodes.splice(left))
      await until(() => warnings.length > 0)
      expect(warnings[0]).toContain('of 3 nodes')
      expect(idsOf(pool)).toEqual(['a', 'b', 'c'])
    })

    it('comes back when it is deleted', async () => {
      const { warnings } = await running('a')
      rmSync(file)
      await until(() => existsSync(file))
      expect(written()).toEqual(['a'])
      expect(warnings).toEqual([])
    })

    it('is the way between processes that have no Redis', async () => {
      const { pool } = await running('a')
      const other = await create({ file, pollInterval: 20 })
      await other.register(node('b'))
      await until(() => idsOf(pool).join() === 'a,b')
      await pool.deregister('b')
      await until(() => idsOf(other).join() === 'a')
    })

    it('holds experiments, also under the names of the seed system, and takes edits of them', async () => {
      const { pool, warnings, edit } = await running('a')
      await pool.experiments.put({ ...experiment, id: 'one' })
      await until(() => JSON.parse(readFileSync(file, 'utf8')).experiments.length === 1)
      edit(({ experiments }) => {
        Object.assign(experiments[0] ?? {}, { trafficPercentage: 50 })
        experiments.push({
          id: 'two',
          language_pair: 'en-fr',
          traffic_percentage: 10,
          experiment_group_tags: ['v2'],
          is_active: true,
        })
        experiments.push({ ...experiment, id: 'overlaps' })
      })
      await until(() => pool.experiments.list().length === 2 && warnings.length === 1)
      expect(warnings[0]).toContain('overlaps was not taken')
      expect(pool.experiments.list().map(({ id, trafficPercentage }) => [id, trafficPercentage])).toEqual([
        ['one', 50],
        ['two', 10],
      ])
      await pool.experiments.remove('two')
      await pool.close()
      const next = await create({ file })
      expect(next.experiments.list().map(({ id }) => id)).toEqual(['one'])
    })
  })
})
