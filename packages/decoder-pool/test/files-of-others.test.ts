import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import type { DecoderPoolOptions } from '../src/index.js'
import { idsOf, node, useCoordinators } from './pools.js'

const folders: string[] = []
// Registered before the coordinators' own hook, so it runs after it: closing a coordinator writes its file once more.
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})
const { create } = useCoordinators()

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'evenkeel-files-'))
  folders.push(made)
  return made
}

/** Registers a node in a pool with this file, and returns the warnings. */
async function use(file: string, options: DecoderPoolOptions = {}): Promise<readonly string[]> {
  const warnings: string[] = []
  const pool = await create({ file, pollInterval: 20, ...options })
  pool.on('warning', ({ message }) => warnings.push(message))
  await pool.register(node('new'))
  await pool.close()
  return warnings
}

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'))

describe('a path that holds what is not the pool’s', () => {
  it('is left alone: a folder', async () => {
    const root = folder()
    const path = join(root, 'config')
    mkdirSync(path)
    writeFileSync(join(path, 'keep.txt'), 'kept')
    expect(await use(path)).not.toEqual([])
    expect([readdirSync(root), readdirSync(path)]).toEqual([['config'], ['keep.txt']])
  })

  it.skipIf(process.platform === 'win32')('is left alone: a pipe, which nobody writes to', async () => {
    const root = folder()
    const path = join(root, 'pipe')
    execFileSync('mkfifo', [path])
    expect(await use(path)).not.toEqual([])
    expect([readdirSync(root), lstatSync(path).isFIFO()]).toEqual([['pipe'], true])
  })

  it.skipIf(process.platform === 'win32').each(['/dev/zero', '/dev/null'])(
    'is left alone: a link to the device %s',
    async (device) => {
      const root = folder()
      const path = join(root, 'link')
      symlinkSync(device, path)
      expect(await use(path)).not.toEqual([])
      expect([readdirSync(root), readlinkSync(path)]).toEqual([['link'], device])
    },
  )

  it('is left alone: a file larger than any pool', async () => {
    const root = folder()
    const path = join(root, 'large')
    writeFileSync(path, '{"format":1,"pool":"default"')
    truncateSync(path, 300 * 1024 * 1024)
    expect(await use(path)).not.toEqual([])
    expect([readdirSync(root), statSync(path).size]).toEqual([['large'], 300 * 1024 * 1024])
  })

  it.each([
    ['JSON of somebody else', '{"name":"my-app"}'],
    ['text', 'to be or not to be'],
    ['a list of something', '"text"'],
    ['YAML', 'nodes:\n  - a\n'],
  ])('is left alone: %s', async (_, text) => {
    const root = folder()
    const path = join(root, 'file')
    writeFileSync(path, text)
    expect(await use(path)).not.toEqual([])
    expect([readdirSync(root), readFileSync(path, 'utf8')]).toEqual([['file'], text])
  })

  it('is left alone: another pool, whose next process has all that it had', async () => {
    const path = join(folder(), 'pool.json')
    const prod = await create({ file: path, name: 'prod' })
    await prod.register(node('p1'))
    await prod.close()
    const before = readFileSync(path, 'utf8')
    expect((await use(path)).join()).toContain("of the pool 'prod'")
    expect(readFileSync(path, 'utf8')).toBe(before)
    expect(idsOf(await create({ file: path, name: 'prod' }))).toEqual(['p1'])
  })

  it('keeps each damaged file that is put aside', async () => {
    const root = folder()
    const path = join(root, 'pool.json')
    await use(path)
    for (const text of ['one', 'two']) {
      writeFileSync(path, text)
      const pool = await create({ file: path })
      pool.on('warning', () => {})
      await pool.register(node(text))
      await pool.close()
    }
    expect([`${path}.damaged`, `${path}.damaged-2`].map((file) => readFileSync(file, 'utf8'))).toEqual([
      'one',
      'two',
    ])
  })
})

describe('the pool’s file keeps what it is', () => {
  it('its mode, and a symbolic link to it', async () => {
    const root = folder()
    const [real, link] = [join(root, 'real.json'), join(root, 'link.json')]
    writeFileSync(real, '{"nodes":[]}')
    chmodSync(real, 0o664)
    symlinkSync('real.json', link)
    expect(await use(link)).toEqual([])
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect((statSync(real).mode & 0o777).toString(8)).toBe('664')
    expect(read(real).nodes).toHaveLength(1)
  })

  it.runIf(process.getuid?.() === 0)(
    'its owner, and what root makes belongs to whom the folder does',
    async () => {
      const { chownSync } = await import('node:fs')
      const root = folder()
      chownSync(root, 1234, 1235)
      const [old, fresh] = [join(root, 'old.json'), join(root, 'fresh.json')]
      writeFileSync(old, '{"nodes":[]}')
      chownSync(old, 4321, 1234)
      await use(old)
      await use(fresh)
      const ownerOf = (file: string) => [statSync(file).uid, statSync(file).gid]
      expect([old, `${old}.1`, fresh, `${fresh}.1`].map(ownerOf)).toEqual([
        [4321, 1234],
        [4321, 1234],
        [1234, 1235],
        [1234, 1235],
      ])
    },
  )

  it('and leads to no file that somebody plants a link to', async () => {
    const root = folder()
    const [victim, path] = [join(root, 'victim'), join(root, 'pool.json')]
    writeFileSync(victim, 'precious')
    for (let count = 0; count < 8; count++) symlinkSync(victim, `${path}.${process.pid}-${count}.tmp`)
    symlinkSync(victim, `${path}.1`)
    await use(path)
    expect(readFileSync(victim, 'utf8')).toBe('precious')
    expect(readdirSync(root).filter((name) => name.endsWith('.tmp')).length).toBe(8)
    expect(lstatSync(path).isSymbolicLink()).toBe(false)
  })
})

describe('a file made by hand', () => {
  it.each([
    ['UTF-8', (text: string) => Buffer.from(`\uFEFF${text}`)],
    ['UTF-16', (text: string) => Buffer.from(`\uFEFF${text}`, 'utf16le')],
  ])('may begin with a byte order mark: %s', async (_, encode) => {
    const path = join(folder(), 'pool.json')
    writeFileSync(path, encode('{"nodes":[{"id":"a","endpoint":"http://a"}]}'))
    expect(await use(path)).toEqual([])
    expect(read(path).nodes.map(({ id }: { id: string }) => id)).toEqual(['a', 'new'])
  })

  it('that has an id twice is told of, with the line', async () => {
    const path = join(folder(), 'pool.json')
    writeFileSync(path, '{"nodes":[\n{"id":"a","endpoint":"http://1"},\n{"id":"a","endpoint":"http://2"}]}')
    const warnings = await use(path)
    expect(warnings.join()).toMatch(/line 3.*twice/)
  })

  it('may be of the system whose names it has, with its A/B tests, and loses nothing', async () => {
    const path = join(folder(), 'pool.json')
    writeFileSync(
      path,
      JSON.stringify({
        nodes: [
          { node_id: 'a', endpoint: 'http://a', status: 'maintenance', priority: 3 },
          { node_id: 'b', endpoint: 'http://b:1/base', health_url: 'http://b:1/base/up' },
        ],
        ab_tests: [
          {
            name: 't',
            language_pair: 'en-es',
            traffic_percentage: 10,
            experiment_group_tags: ['v2'],
          },
        ],
        owner: 'team x',
      }),
    )
    const pool = await create({ file: path, pollInterval: 20 })
    expect(pool.inspect('a')?.state).toBe('draining')
    expect(pool.inspect('b')?.node.healthPath).toBe('/up')
    expect(pool.experiments.list()).toMatchObject([{ id: 't', languagePair: 'en-es' }])
    await pool.register(node('new'))
    await pool.close()
    const { nodes, experiments, owner } = read(path)
    expect([nodes[0], experiments[0].id, owner]).toMatchObject([{ id: 'a', priority: 3 }, 't', 'team x'])
  })

  it('keeps what a newer release has said of a node, through a change by this one', async () => {
    const path = join(folder(), 'pool.json')
    writeFileSync(path, '{"nodes":[{"id":"a","endpoint":"http://a","zone":"z1"}],"plans":{"x":1}}')
    const pool = await create({ file: path, pollInterval: 20 })
    await pool.register({ id: 'a', endpoint: 'http://a', capacity: 7 })
    await pool.report('a', { adapters: ['x'] })
    await pool.close()
    expect(read(path)).toMatchObject({
      nodes: [{ zone: 'z1', capacity: 7, adapters: ['x'] }],
      plans: { x: 1 },
    })
  })
})

describe('an id', () => {
  it('is another one for each endpoint', async () => {
    const pool = await create()
    const endpoints = [
      'http://h:1/llm/1',
      'http://h:1/llm-1',
      'http://h:1',
      'https://h:1',
      'http://h:1/llm/1/',
    ]
    for (const endpoint of endpoints) await pool.register({ endpoint })
    expect(idsOf(pool)).toHaveLength(4)
  })

  it('is the node’s, and not its address’s', async () => {
    const pool = await create()
    await pool.register({ id: 'b', endpoint: 'http://10.0.0.1:1' })
    await pool.register({ id: 'd', endpoint: 'http://10.0.0.1:1' })
    expect(idsOf(pool)).toEqual(['d'])
    await pool.register({ id: 'b', endpoint: 'http://10.0.0.2:1' })
    expect(idsOf(pool)).toEqual(['b', 'd'])
    // The two nodes swap their addresses.
    await pool.register({ id: 'b', endpoint: 'http://10.0.0.1:1' })
    await pool.register({ id: 'd', endpoint: 'http://10.0.0.2:1' })
    expect(pool.inspect('b')?.node.endpoint).toBe('http://10.0.0.1:1')
    expect([await pool.deregister('d'), idsOf(pool)]).toEqual([true, ['b']])
  })

  it('that a living node has is refused to another one', async () => {
    const path = join(folder(), 'pool.json')
    const one = await create({ file: path, pollInterval: 20 })
    await one.register({ id: 'copied', endpoint: 'http://10.0.0.1:1' })
    await until(() => existsSync(path))
    const other = await create({ file: path, pollInterval: 20 })
    await expect(other.register({ id: 'copied', endpoint: 'http://10.0.0.2:1' })).rejects.toMatchObject({
      field: 'id',
    })
  })
})
