import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { createAgentMemory } from '../src/index.js'
import { decodeLines } from '../src/journal/codec.js'
import { idsOf, soon, threadOf, useRedis, user } from './support.js'

const disk = vi.hoisted(() => ({ isFull: false, syncFails: false, isReadOnly: false }))

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const full = () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  return {
    ...fs,
    // A part of a line gets through, as it does on a disk that has just become full.
    writeSync: (fd: number, data: Uint8Array) => {
      if (!disk.isFull) return fs.writeSync(fd, data)
      if (data.length > 10) return fs.writeSync(fd, data.subarray(0, 10)) || 10
      throw full()
    },
    openSync: (...args: Parameters<typeof fs.openSync>) => {
      if (disk.isReadOnly) throw Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
      return fs.openSync(...args)
    },
    fdatasync: (fd: number, callback: (error: Error | null) => void) => {
      if (disk.syncFails) setImmediate(callback, full())
      else fs.fdatasync(fd, callback)
    },
  }
})

const redis = useRedis()

it('refuses what the journal’s disk can’t take, with nothing half done, and goes on when it can', async () => {
  const dir = await redis.folder()
  const { memory, cutOff, back } = await redis.instance({ journal: { kind: 'file', dir } })
  const thread = threadOf(memory)
  await cutOff()
  await thread.append(user('a'))
  disk.isFull = true
  const refused = await thread.append(user('b')).catch((error: unknown) => error)
  disk.isFull = false
  expect(refused).toMatchObject({ code: 'JOURNAL_FAILED' })
  expect(memory.status().journaled).toBe(1)
  const [name = ''] = await readdir(dir)
  const { entries, spoilt } = decodeLines(await readFile(join(dir, name), 'utf8'))
  expect([entries.length, spoilt]).toEqual([1, 0])
  await thread.append(user('c'))
  disk.syncFails = true
  await expect(thread.append(user('d'))).rejects.toMatchObject({ code: 'JOURNAL_FAILED' })
  disk.syncFails = false
  // It may have been taken: its repetition is there once.
  await thread.append(user('d'))
  await back()
  await memory.flushed(soon())
  expect(await idsOf(memory)).toEqual(['a', 'c', 'd'])
})

it('refuses a folder that can’t be written to, naming it', async () => {
  const dir = await redis.folder()
  disk.isReadOnly = true
  expect(() => createAgentMemory({ journal: { kind: 'file', dir } })).toThrow(/journal.dir.*EACCES/)
  disk.isReadOnly = false
})
