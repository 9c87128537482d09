import { once } from 'node:events'
import fs from 'node:fs'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { basename, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createAgentMemory, JournalFailedError } from '../src/index.js'
import { decodeLines, encodeLine } from '../src/journal/codec.js'
import { entryOf, type ThreadWrite } from '../src/journal/entry.js'
import { JournalFile } from '../src/journal/file.js'
import { idsOf, soon, threadOf, useRedis, user } from './support.js'

const redis = useRedis()

/** A worker thread with a journal's file, which it holds open as long as it lives. */
const workerWithFile = `
  const { openSync, writeSync } = require('node:fs')
  const { parentPort, workerData } = require('node:worker_threads')
  writeSync(openSync(workerData.path, 'ax', 0o600), workerData.text)
  parentPort.postMessage('written')
  setInterval(() => {}, 1_000)`

/** As if the process that wrote it were gone: no process has the highest pid. */
async function leaveBehind(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.journal'))
  for (const name of names) await rename(join(dir, name), join(dir, name.replace(/-\d+-\d+-/, '-4194303-1-')))
  return names
}

describe('a journal in a file', () => {
  it('promise 1: brings what a process that died had journaled to Redis, once and in order', async () => {
    const dir = await redis.folder()
    const journal = { kind: 'file', dir } as const
    const first = await redis.instance({ journal })
    await threadOf(first.memory).append(user('a'))
    await first.cutOff()
    await threadOf(first.memory).append([user('b'), user('c')])
    await threadOf(first.memory).state.increment('turns')
    await threadOf(first.memory).remove('a')
    await threadOf(first.memory, 'gone').append(user('x'))
    await threadOf(first.memory, 'gone').delete()
    await leaveBehind(dir)
    const { memory } = await redis.instance({ journal })
    await memory.flushed(soon())
    expect(await idsOf(memory)).toEqual(['b', 'c'])
    expect(await threadOf(memory).state.get('turns')).toMatchObject({ value: 1 })
    expect((await threadOf(memory, 'gone').window()).count).toBe(0)
    // The process was not dead after all: what it sends again changes nothing.
    await first.back()
    await first.memory.flushed(soon())
    expect(await idsOf(memory)).toEqual(['b', 'c'])
    expect(await threadOf(memory).state.get('turns')).toMatchObject({ value: 1 })
    expect((await readdir(dir)).length).toBeLessThanOrEqual(3)
  })

  it('keeps what waits when the memory is closed, for the next one in the same process', async () => {
    const dir = await redis.folder()
    const journal = { kind: 'file', dir } as const
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const first = await redis.instance({ journal })
    await first.cutOff()
    await threadOf(first.memory).append(user('a'))
    first.memory.close()
    expect(warned.mock.calls.join()).toContain('journal’s folder')
    warned.mockRestore()
    const { memory } = await redis.instance({ journal })
    await memory.flushed(soon())
    expect(await idsOf(memory)).toEqual(['a'])
  })

  it('is empty when nothing waits, readable by its owner alone, and gone when the memory is closed', async () => {
    const dir = await redis.folder()
    const { memory, cutOff, back } = await redis.instance({ journal: { kind: 'file', dir } })
    await cutOff()
    for (let index = 0; index < 20; index++) await threadOf(memory).append(user(`${index}`))
    const [name = ''] = await readdir(dir)
    expect((await readFile(join(dir, name), 'utf8')).split('\n')).toHaveLength(21)
    await back()
    expect(await readFile(join(dir, name), 'utf8')).toBe('')
    memory.close()
    expect(await readdir(dir)).toEqual([])
  })

  it('is made again, with all that waits, where somebody removes its folder in an outage', async () => {
    const dir = join(await redis.folder(), 'journal')
    const journal = { kind: 'file', dir } as const
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const first = await redis.instance({ journal })
    await first.cutOff()
    await threadOf(first.memory).append(user('a'))
    await rm(dir, { recursive: true })
    expect(await threadOf(first.memory).append(user('b'))).toMatchObject({ status: 'journaled' })
    expect(warned.mock.calls.join()).toContain('was removed')
    warned.mockRestore()
    expect(await leaveBehind(dir)).toHaveLength(1)
    const { memory } = await redis.instance({ journal })
    await memory.flushed(soon())
    expect(await idsOf(memory)).toEqual(['a', 'b'])
  })

  it('refuses a write where it was removed and can’t be made again', async () => {
    const above = await redis.folder()
    const dir = join(above, 'journal')
    const first = await redis.instance({ journal: { kind: 'file', dir } })
    await first.cutOff()
    await threadOf(first.memory).append(user('a'))
    await rm(dir, { recursive: true })
    await writeFile(dir, 'in its place')
    await expect(threadOf(first.memory).append(user('b'))).rejects.toThrow(JournalFailedError)
    await rm(dir)
  })

  it('without a Redis keeps nothing, and says so', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const memory = createAgentMemory({ journal: { kind: 'file', dir: await redis.folder() } })
    expect(warned.mock.calls.join()).toContain('without `redis`')
    warned.mockRestore()
    await memory.close()
  })

  it('refuses a folder that can’t be one, and says so before anything else', async () => {
    const dir = await redis.folder()
    const file = join(dir, 'file')
    await writeFile(file, '')
    const open = (own: string) => createAgentMemory({ journal: { kind: 'file', dir: own } })
    expect(() => open(join(file, 'below'))).toThrow(/journal.dir: expected a folder that can be written to/)
    expect(() => open('')).toThrow(/journal.dir/)
    const below = join(dir, 'made', 'for', 'us')
    await open(below).close()
    expect(await readdir(below)).toEqual([])
  })

  it('promise 3: keeps a writer’s order when another process took over what it left', async () => {
    const dir = await redis.folder()
    const journal = { kind: 'file', dir } as const
    const first = await redis.instance({ journal })
    await threadOf(first.memory).append(user('before'))
    await first.cutOff()
    await threadOf(first.memory).append([user('a'), user('b')])
    await leaveBehind(dir)
    // This one begins first, takes over what is left, and can't send it yet.
    const slow = await redis.instance()
    await slow.cutOff()
    const heir = createAgentMemory({ redis: slow.redis, journal })
    redis.atEnd(() => heir.close())
    expect(heir.status().journaled).toBe(2)
    const { memory } = await redis.instance({ journal })
    const appended = threadOf(memory).append(user('c'))
    expect(await threadOf(memory, 'other').append(user('x'))).toMatchObject({ status: 'stored' })
    await slow.back()
    expect(await appended).toMatchObject({ status: 'stored' })
    expect(await idsOf(memory)).toEqual(['before', 'a', 'b', 'c'])
  })

  it('leaves the files of living processes alone', async () => {
    const dir = await redis.folder()
    const journal = { kind: 'file', dir } as const
    const first = await redis.instance({ journal })
    await first.cutOff()
    await threadOf(first.memory).append(user('a'))
    const { memory } = await redis.instance({ journal })
    expect(memory.status().journaled).toBe(0)
    await first.back()
    expect(await idsOf(memory)).toEqual(['a'])
  })

  // Whether a worker has a file open is told by Linux alone.
  it.runIf(process.platform === 'linux')(
    'takes over what a worker of this process left, once it has ended',
    async () => {
      const dir = await redis.folder()
      const journal = { kind: 'file', dir } as const
      const first = await redis.instance({ journal })
      await first.cutOff()
      await threadOf(first.memory).append([user('a'), user('b')])
      const [name = ''] = await readdir(dir)
      const ofWorker = join(dir, name.replace(/[^-]{12}\.journal$/, '0123456789ab.journal'))
      const worker = new Worker(workerWithFile, {
        eval: true,
        workerData: { path: ofWorker, text: await readFile(join(dir, name), 'utf8') },
      })
      await once(worker, 'message')
      const beside = await redis.instance({ journal })
      expect(beside.memory.status().journaled).toBe(0)
      expect(await idsOf(beside.memory)).toEqual([])

      await worker.terminate()
      const { memory } = await redis.instance({ journal })
      await memory.flushed(soon())
      expect(await idsOf(memory)).toEqual(['a', 'b'])
      await expect.poll(() => readdir(dir)).not.toContain(basename(ofWorker))
      // The other living journal of this process was left alone.
      expect(await readdir(dir)).toContain(name)
    },
  )

  it('lets go of what is done with while something waits, and keeps what waits', async () => {
    const dir = await redis.folder()
    const file = new JournalFile(dir, () => {})
    const body = JSON.stringify({ role: 'user', content: 'x'.repeat(200_000) })
    const entries = Array.from({ length: 60 }, (_, index) => {
      const calls = { opens: [], answers: [] }
      const message = { id: `m${index}`, role: 'user', tokens: 1, body, digest: 'd', ...calls }
      return entryOf({ kind: 'append', batch: [message], generation: undefined })
    })
    for (const entry of entries) file.write({ owner: 'o', thread: 't' }, entry)
    for (const entry of entries.slice(0, 58)) file.acknowledge(entry)
    await file.synced()
    await expect.poll(() => readdir(dir)).toHaveLength(1)
    const [name = ''] = await readdir(dir)
    const text = await readFile(join(dir, name), 'utf8')
    expect(text.length).toBeLessThan(5 << 20)
    const waiting = decodeLines(text).entries.map(
      ({ write }) => write.kind === 'append' && write.batch[0]?.id,
    )
    expect(waiting).toEqual(['m58', 'm59'])
    file.close(true)
  })

  describe('written anew', () => {
    const warned: string[] = []
    const patched: (() => void)[] = []
    afterEach(() => {
      for (const undo of patched.splice(0).reverse()) undo()
      syncBuiltinESMExports()
      warned.length = 0
    })

    /** Puts a function in the place of one of `node:fs` until the test ends. */
    function patch<Name extends 'fdatasync' | 'unlinkSync' | 'writeSync'>(
      name: Name,
      own: (typeof fs)[Name],
    ) {
      const before = fs[name]
      fs[name] = own
      patched.push(() => {
        fs[name] = before
      })
      syncBuiltinESMExports()
    }

    const failure = (code: string) => Object.assign(new Error(`${code}: failed`), { code })

    /** Journals of a folder that this process has open, removed ones included. */
    const openIn = (dir: string) =>
      fs.readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          const path = fs.readlinkSync(`/proc/self/fd/${fd}`)
          return path.startsWith(dir) ? [path] : []
        } catch {
          return [] // The listing's own.
        }
      })

    function change(id: string, bytes = 10) {
      const body = JSON.stringify({ role: 'user', content: 'x'.repeat(bytes) })
      const message = { id, role: 'user', tokens: 1, body, digest: 'd', opens: [], answers: [] }
      return entryOf({ kind: 'append', batch: [message], generation: undefined })
    }

    /** A file so full of what is done with that it is written anew. */
    function rewritten(dir: string) {
      const file = new JournalFile(dir, (message) => warned.push(message))
      const done = Array.from({ length: 30 }, (_, index) => change(`m${index}`, 200_000))
      const last = change('last')
      for (const entry of [...done, last]) file.write({ owner: 'o', thread: 't' }, entry)
      for (const entry of done) file.acknowledge(entry)
      return { file, last }
    }

    it.runIf(process.platform === 'linux')(
      'it lets go of the former file, also where that can’t be removed or was removed by others',
      async () => {
        const dir = await redis.folder()
        const unlink = fs.unlinkSync
        patch('unlinkSync', () => {
          throw failure('EPERM')
        })
        const { file } = rewritten(dir)
        await expect.poll(() => openIn(dir)).toHaveLength(1)
        expect(await readdir(dir)).toHaveLength(2)
        expect(warned.join()).toMatch(/can not be removed: EPERM/)
        file.close(false)
        expect(openIn(dir)).toEqual([])

        warned.length = 0
        const other = await redis.folder()
        patch('unlinkSync', (path) => {
          unlink(path)
          unlink(path)
        })
        const second = rewritten(other)
        await expect.poll(() => openIn(other)).toHaveLength(1)
        expect(await readdir(other)).toHaveLength(1)
        expect(warned).toEqual([])
        second.file.close(true)
      },
    )

    it.runIf(process.platform === 'linux')(
      'it keeps the former file until a sync succeeds, and no longer',
      async () => {
        const dir = await redis.folder()
        let failures = 0
        const fdatasync = fs.fdatasync
        patch(
          'fdatasync',
          Object.assign((fd: number, done: fs.NoParamCallback) => {
            if (failures++ === 0) done(failure('EIO'))
            else fdatasync(fd, done)
          }, fdatasync),
        )
        const { file } = rewritten(dir)
        await expect.poll(() => failures).toBe(1)
        expect(await readdir(dir)).toHaveLength(2)
        expect(openIn(dir)).toHaveLength(2)
        await file.synced()
        expect(await readdir(dir)).toHaveLength(1)
        expect(openIn(dir)).toHaveLength(1)
        file.close(true)
        expect(await readdir(dir)).toEqual([])
      },
    )

    it('it loses nothing where the new file can’t be written at first', async () => {
      const dir = join(await redis.folder(), 'journal')
      const file = new JournalFile(dir, (message) => warned.push(message))
      for (const id of ['a', 'b', 'c']) file.write({ owner: 'o', thread: 't' }, change(id))
      await rm(dir, { recursive: true })
      const write = fs.writeSync
      let room = 1
      patch('writeSync', ((...args: Parameters<typeof write>) => {
        if (room-- === 0) throw failure('ENOSPC')
        return write(...args)
      }) as typeof write)
      await expect(file.synced()).rejects.toThrow(JournalFailedError)
      expect(await readdir(dir)).toEqual([])
      await file.synced()
      const [name = '', ...others] = await readdir(dir)
      expect(others).toEqual([])
      const text = await readFile(join(dir, name), 'utf8')
      const ids = decodeLines(text).entries.map(({ write }) => write.kind === 'append' && write.batch[0]?.id)
      expect(ids).toEqual(['a', 'b', 'c'])
      file.close(true)
    })
  })

  it('takes nothing that is beyond its bounds', async () => {
    const dir = await redis.folder()
    const { memory, cutOff } = await redis.instance({ journal: { kind: 'file', dir, maxBytes: 1_000 } })
    await cutOff()
    await threadOf(memory).append(user('a'))
    await expect(threadOf(memory).append(user('b', 'x'.repeat(1_000)))).rejects.toMatchObject({
      code: 'JOURNAL_FULL',
    })
    expect(await idsOf(memory)).toEqual(['a'])
  })
})

describe('a journal’s lines', () => {
  const entry = (id: string, text: string): ThreadWrite => ({
    id: { owner: 'o', thread: text },
    write: { kind: 'delete', token: id, generation: undefined },
  })

  it('give back every whole line, and nothing of one that is cut or altered', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', minLength: 1 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (texts, place, mask, cuts) => {
          const whole = texts.map((text, number) => entry(String(number), text.toWellFormed()))
          const bytes = Buffer.from(whole.map((one, number) => encodeLine({ number, entry: one })).join(''))
          expect(decodeLines(bytes.toString())).toEqual({ entries: whole, spoilt: 0 })
          const at = place % bytes.length
          bytes[at] = (bytes[at] ?? 0) ^ mask
          const read = decodeLines((cuts ? bytes.subarray(0, at) : bytes).toString())
          for (const one of read.entries) expect(whole).toContainEqual(one)
          const lineOf = bytes.subarray(0, at).toString('latin1').split('\n').length - 1
          expect(read.entries.slice(0, lineOf)).toEqual(whole.slice(0, lineOf))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('know what is done with', () => {
    const lines = [1, 2, 3].map((number) => encodeLine({ number, entry: entry(`${number}`, 't') }))
    const { entries } = decodeLines([...lines, encodeLine({ done: 2 })].join(''))
    expect(entries.map(({ write }) => 'token' in write && write.token)).toEqual(['1', '3'])
  })
})

describe('a Redis that comes back without what it acknowledged', () => {
  it('promise 1: gets the latest writes again, in order, and each once', async () => {
    const { memory } = await redis.instance()
    const thread = threadOf(memory)
    for (const id of ['a', 'b', 'c']) await thread.append(user(id))
    await thread.remove('b')
    await thread.state.set('plan', 1)
    await threadOf(memory, 'gone').append(user('x'))
    await threadOf(memory, 'gone').delete()
    await redis.server.restart({ empty: true })
    await expect.poll(() => memory.status().state).toBe('primary')
    const { memory: other } = await redis.instance()
    await expect.poll(() => idsOf(other)).toEqual(['a', 'c'])
    expect(await thread.state.get('plan')).toMatchObject({ value: 1 })
    expect((await threadOf(other, 'gone').window()).count).toBe(0)
    expect(await thread.append(user('d'))).toMatchObject({ status: 'stored' })
    expect(await idsOf(memory)).toEqual(['a', 'c', 'd'])
  })

  it('does no change of values twice that it has not lost, however many came since', async () => {
    const { memory, cutOff, back } = await redis.instance()
    const other = (await redis.instance()).memory
    for (let count = 0; count < 10; count++) await threadOf(memory).state.increment('n')
    // More changes than the thread remembers the ids of.
    for (let count = 0; count < 100; count++) await threadOf(other).state.set('other', count)
    await cutOff()
    await back()
    expect(await threadOf(memory).state.get('n')).toMatchObject({ value: 10 })
    expect(await threadOf(memory).state.get('other')).toMatchObject({ value: 99 })
  })

  it('gets an increment again that it has lost, though others went on writing', async () => {
    const { memory, cutOff, back } = await redis.instance()
    const other = (await redis.instance()).memory
    const key = 'evenkeel:agent-memory:{o}:t:t'
    await threadOf(other).append(user('a'))
    await redis.server.command('COPY', key, 'then')
    await threadOf(memory).state.increment('n')
    await threadOf(memory).state.set('plan', 'mine')
    await cutOff()
    await redis.server.command('RENAME', 'then', key)
    // The thread's version is now higher than before the loss.
    for (let count = 0; count < 10; count++) await threadOf(other).state.increment('n', 10)
    await threadOf(other).state.set('plan', 'of other')
    await back()
    expect(await threadOf(memory).state.get('n')).toMatchObject({ value: 101 })
    expect(await threadOf(memory).state.get('plan')).toMatchObject({ value: 'of other' })
  })

  it('gets nothing again where healing is off', async () => {
    const { memory } = await redis.instance({ healWindow: 0 })
    await threadOf(memory).append(user('a'))
    await redis.server.restart({ empty: true })
    await expect.poll(() => memory.status().state).toBe('primary')
    expect((await threadOf(memory).window()).count).toBe(0)
  })
})
