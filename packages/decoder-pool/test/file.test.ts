import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@evenkeel/test-servers'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import type { MirrorDamagedError } from '../src/index.js'
import { idsOf, node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

describe('the file', () => {
  const folders: string[] = []
  let file: string

  beforeEach(() => {
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-pool-'))
    folders.push(folder)
    file = join(folder, 'config', 'pool.json')
  })
  // Not after each: the pools, which write as they close, are closed after that.
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
    ['changed behind its checksum', (text: string) => text.replace('"capacity": 2', '"capacity": 9')],
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
      expect(idsOf(pool)).toEqual(['a'])
      await pool.close()
      rmSync(`${file}.1`)
      writeFileSync(file, damaged)
      const empty = await create({ file })
      await new Promise((resolve) => empty.on('warning', resolve))
      await empty.close()
      expect(readFileSync(file, 'utf8')).toBe(damaged)
    },
  )

  it('that is damaged is put aside, and not lost, when there is a pool to write again', async () => {
    const first = await create({ file })
    await first.register(node('a'))
    await first.close()
    writeFileSync(file, 'damaged')
    const pool = await create({ file })
    pool.on('warning', () => {})
    await pool.register(node('b'))
    await pool.close()
    expect(written()).toEqual(['b'])
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
})
