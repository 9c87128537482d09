import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createAgentMemory } from '../src/index.js'
import { decodeLines, encodeLine } from '../src/journal/codec.js'
import type { ThreadWrite } from '../src/journal/entry.js'
import { ownIdentity } from '../src/journal/process-identity.js'
import { idsOf, soon, threadOf, useRedis, user } from './support.js'

const redis = useRedis()
const { host } = ownIdentity()
const isRoot = process.geteuid?.() === 0

/** A file's name as that of a process of this host that is gone: none has the highest pid. */
const leftName = () => `${host}-4194303-1-${randomUUID()}.journal`
const line = (value: unknown) => {
  const json = JSON.stringify(value)
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`
}
const message = (id: string, over: object = {}) => {
  const body = JSON.stringify({ role: 'user', content: id })
  return { id, role: 'user', tokens: 1, body, digest: 'digest', opens: [], answers: [], ...over }
}
const appended = (batch: readonly object[], over: object = {}) =>
  line({ n: 1, i: { owner: 'o', thread: 't' }, w: { kind: 'append', batch, ...over } })
const changed = (change: object) =>
  line({ n: 1, i: { owner: 'o', thread: 't' }, w: { kind: 'change', change: { token: 'x', ...change } } })

let warnings: string[] = []
beforeEach(() => {
  warnings = []
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => {
    warnings.push(String(warning))
  })
})
afterEach(() => {
  vi.restoreAllMocks()
})

/** Files of a folder, oldest first as far as anybody can tell: all are as if left long ago. */
async function age(dir: string): Promise<void> {
  for (const name of await readdir(dir)) await utimes(join(dir, name), 1, 1).catch(() => {})
}

describe('a file in the journal’s folder that is none', () => {
  const odd: Record<string, (path: string) => Promise<unknown>> = {
    'a folder': (path) => mkdir(path),
    'a pipe': async (path) => execFileSync('mkfifo', [path]),
    'a link to a file': async (path) => {
      const target = join(path, '..', '..', randomUUID())
      await writeFile(target, appended([message('linked')]), { mode: 0o600 })
      await symlink(target, path)
    },
    'a link to nothing': (path) => symlink('nowhere', path),
    'a file that others may write to': async (path) => {
      await writeFile(path, appended([message('open')]))
      await chmod(path, 0o666)
    },
    'a file of a terabyte': async (path) => {
      await writeFile(path, '', { mode: 0o600 })
      await truncate(path, 2 ** 40)
    },
  }
  if (isRoot) {
    odd['a file of another user'] = async (path) => {
      await writeFile(path, appended([message('forged')]), { mode: 0o600 })
      await chown(path, 65_534, 65_534)
    }
  } else {
    odd['a file that can’t be read'] = async (path) => {
      await writeFile(path, appended([message('secret')]))
      await chmod(path, 0)
    }
  }

  it.each(Object.entries(odd))(
    'stops nobody, keeps its name, and is named in a warning: %s',
    async (_, make) => {
      const dir = join(await redis.folder(), 'journals')
      await mkdir(dir, { mode: 0o700 })
      const [name, good] = [leftName(), leftName()]
      await make(join(dir, name))
      await writeFile(join(dir, good), appended([message('good')]), { mode: 0o600 })
      await age(dir)
      for (let start = 0; start < 2; start++) {
        warnings = []
        const { memory } = await redis.instance({ journal: { kind: 'file', dir } })
        await memory.flushed(soon())
        expect(await idsOf(memory)).toEqual(['good'])
        expect(await threadOf(memory).append(user('new'))).toMatchObject({ seqs: [2] })
        expect(warnings.filter((warning) => warning.includes(name))).toHaveLength(1)
        expect(await readdir(dir)).toContain(name)
        await threadOf(memory).remove('new')
        await memory.close()
        await threadOf((await redis.instance()).memory).delete()
        await writeFile(join(dir, good), appended([message('good')], { generation: undefined }), {
          mode: 0o600,
        })
      }
    },
  )

  it('is looked at again and again by a process that lives, which goes on', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const dir = await redis.folder()
      const { memory } = await redis.instance({ journal: { kind: 'file', dir } })
      for (const make of Object.values(odd)) await make(join(dir, leftName()))
      await age(dir)
      // Three heartbeats.
      vi.advanceTimersByTime(31_000)
      expect(await threadOf(memory).append(user('a'))).toMatchObject({ status: 'stored' })
      expect(warnings).toHaveLength(Object.keys(odd).length)
    } finally {
      vi.useRealTimers()
    }
  })

  it('of another name is named too, with the others of its kind', async () => {
    const dir = await redis.folder()
    for (const name of ['notes.txt', 'x.journal', '.hidden']) await writeFile(join(dir, name), '')
    await mkdir(join(dir, 'lost+found'))
    await createAgentMemory({ journal: { kind: 'file', dir } }).close()
    const named = warnings.filter((warning) => warning.includes('passed over'))
    expect(named).toEqual([expect.stringMatching(/passed over: "notes.txt", "x.journal"$/)])
  })
})

describe('a folder that is not this user’s alone', () => {
  const open = (dir: string) => createAgentMemory({ journal: { kind: 'file', dir } })

  it('is refused, as it is', async () => {
    const above = await redis.folder()
    const own = join(above, 'own')
    await mkdir(own)
    for (const mode of [0o777, 0o770, 0o702]) {
      await chmod(own, mode)
      expect(() => open(own)).toThrow(/journal\.dir: expected a folder that nobody else may write to/)
    }
    await chmod(own, 0o755)
    await symlink(own, join(above, 'link'))
    expect(() => open(join(above, 'link'))).toThrow(/no symbolic link/)
    if (isRoot) await chown(own, 65_534, 65_534)
    expect(() => open(isRoot ? own : '/')).toThrow(/a folder of the user that the process runs as/)
    if (isRoot) await chown(own, 0, 0)
    await open(own).close()
    expect(await readdir(own)).toEqual([])
  })

  it('for its place in one that everybody may write to, is told of', async () => {
    const above = await redis.folder()
    await chmod(above, 0o777)
    await open(join(above, 'own')).close()
    expect(warnings.join()).toContain(`Everybody may write to ${above}`)
    warnings = []
    await chmod(above, 0o1777)
    await open(join(above, 'own')).close()
    expect(warnings.join()).not.toContain('Everybody may write')
  })
})

describe('lines whose checksum fits', () => {
  const id = { owner: 'o', thread: 't' }
  const bad = [
    ...[null, 1, 'x', [], {}, { d: null }, { d: -1 }, { n: 1 }, { n: 1, i: id, w: null }].map(line),
    line({ n: 1, i: id, w: { kind: 'other' } }),
    line({ n: 1e300, i: id, w: { kind: 'delete', token: 'x' } }),
    line({ n: 1, i: { owner: '', thread: 't' }, w: { kind: 'delete', token: 'x' } }),
    line({ n: 1, i: id, w: { kind: 'delete', token: 'x', generation: -1 } }),
    appended([]),
    appended([message('a'), message('a')]),
    appended([message('a', { role: 'us|er\n' })]),
    appended([message('a', { tokens: 1e300 })]),
    appended([message('a', { digest: 'a|b' })]),
    appended([message('a', { body: 'no JSON' })]),
    appended([message('a', { body: '[1]' })]),
    appended([message('a', { body: `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}` })]),
    appended([message('a', { opens: [''] })]),
    appended([message('a', { answers: 'all' })]),
    appended([message('x'.repeat(600))]),
    changed({ kind: 'put', messages: [message('a')], removes: { from: 0, upTo: 1.5 } }),
    changed({ kind: 'put', messages: {}, removes: { from: 0, upTo: 1 } }),
    changed({ kind: 'splice', expected: 5, messages: [] }),
    changed({ kind: 'set', key: 'k', value: 'no JSON' }),
    changed({ kind: 'add', key: 'k', by: 'much' }),
    changed({ kind: 'summarise', plan: 'p', to: -1, before: 0, edited: 0, tokens: 0, body: '"x"' }),
    changed({ kind: 'pin', id: 'a', pinned: 1 }),
    changed({ kind: 'other' }),
    '',
    '\u0000\u0000\u0000\n',
    appended([message('cut off')]).slice(0, -9),
  ]

  it('and whose fields do not are passed over, alone, and told of with the file’s name', async () => {
    const dir = await redis.folder()
    const name = leftName()
    const text = [
      appended([message('first')]),
      ...bad,
      '\n',
      line({ n: 2, i: id, w: { kind: 'append', batch: [message('last')] } }),
    ]
    await writeFile(join(dir, name), text.join(''), { mode: 0o600 })
    const { memory } = await redis.instance({ journal: { kind: 'file', dir } })
    await memory.flushed(soon())
    expect(await idsOf(memory)).toEqual(['first', 'last'])
    expect(warnings.filter((warning) => warning.includes(name))).toHaveLength(1)
    expect(warnings.join()).toContain(`${bad.length - 1} lines`)
    // The server answers others at once: no value made a script loop.
    expect(await redis.server.command('PING')).toBe('PONG')
  })

  it('of any JSON are read without an error, and give writes that stores can take', () => {
    const whole: ThreadWrite = {
      id,
      write: {
        kind: 'change',
        change: { kind: 'put', token: 'x', messages: [message('a')], removes: { from: 1, upTo: 2 } },
        generation: 1,
      },
    }
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(), (value, place) => {
        // Somewhere in a good line stands something else.
        let count = 0
        const altered = JSON.parse(JSON.stringify({ n: 1, i: whole.id, w: whole.write }), (_, own) =>
          count++ === place % 24 ? value : own,
        )
        for (const { write } of decodeLines(line(altered) + line(value)).entries) {
          if (write.kind !== 'change' || write.change.kind !== 'put') continue
          expect(encodeLine({ number: 1, entry: { id, write } })).toContain('"kind":"put"')
          const { from = 0, upTo = 0 } = write.change.removes ?? {}
          expect(Number.isSafeInteger(from) && Number.isSafeInteger(upTo)).toBe(true)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})

it('what a full disk keeps from being taken over stays, is told of once, and is taken when there is room', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  try {
    const dir = await redis.folder()
    const name = leftName()
    const lines = [1, 2, 3].map((n) =>
      line({ n, i: { owner: 'o', thread: 't' }, w: { kind: 'append', batch: [message(`m${n}`)] } }),
    )
    await writeFile(join(dir, name), lines.join(''), { mode: 0o600 })
    const fs = await import('node:fs')
    const { syncBuiltinESMExports } = await import('node:module')
    const own = fs.default.writeSync
    let room = 1
    fs.default.writeSync = ((...args: Parameters<typeof own>) => {
      if (room-- <= 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      return own(...args)
    }) as typeof own
    syncBuiltinESMExports()
    try {
      const { memory } = await redis.instance({ journal: { kind: 'file', dir } })
      vi.advanceTimersByTime(10_500)
      expect(warnings.filter((warning) => warning.includes(name))).toHaveLength(1)
      expect(await readFile(join(dir, name), 'utf8')).toBe(lines.join(''))
      room = 1_000
      await age(dir)
      vi.advanceTimersByTime(10_500)
      await memory.flushed(soon())
      expect(await idsOf(memory)).toEqual(['m1', 'm2', 'm3'])
      await expect.poll(() => readdir(dir)).not.toContain(name)
    } finally {
      fs.default.writeSync = own
      syncBuiltinESMExports()
    }
  } finally {
    vi.useRealTimers()
  }
})
