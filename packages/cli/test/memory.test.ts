import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

let folder: string
let server: RedisServer
let other: RedisServer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-memory-'))
  server = await startRedis()
  other = await startRedis()
})
afterAll(async () => {
  await server.close()
  await other.close()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  await server.command('FLUSHALL')
  await other.command('FLUSHALL')
  const redis = await connect({ url: server.url })
  const memory = createAgentMemory({ redis })
  for (const owner of ['user:1', 'user:2']) {
    for (const chat of ['a', 'b']) {
      await memory
        .owner(owner)
        .thread(chat)
        .append([
          { role: 'user', content: `question of ${owner} in ${chat}` },
          { role: 'assistant', content: 'answer' },
        ])
    }
  }
  await memory.close()
  await redis.close()
})

const memory = (...args: readonly string[]) => runCommand(['memory', ...args, '--url', server.url])

describe('evenkeel memory', () => {
  it('lists owners and their conversations', async () => {
    expect((await memory('owners')).out.split('\n').sort()).toEqual(['user:1', 'user:2'])
    const { json } = await memory('threads', '--owner', 'user:1', '--json')
    expect((json() as { thread: string }[]).map(({ thread }) => thread).sort()).toEqual(['a', 'b'])
  })

  it('exports a conversation, a message a line', async () => {
    const { out } = await memory('export', '--owner', 'user:1', '--thread', 'a')
    expect(out.split('\n').map((line) => (JSON.parse(line) as { content: string }).content)).toEqual([
      'question of user:1 in a',
      'answer',
    ])
  })

  it('backs everything up, and restores it on another Redis, verified', async () => {
    const file = join(folder, 'all.jsonl')
    const made = await memory('backup', '--output', file, '--json')
    expect([made.code, JSON.parse(made.err)]).toEqual([exitCodes.done, { threads: 4, messages: 8 }])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const there = ['--url', other.url]
    const restored = await runCommand(['memory', 'restore', file, '--json', ...there])
    expect(restored.json()).toMatchObject({ threads: 4, messages: 8, skipped: 0 })
    const verified = await runCommand(['memory', 'verify', file, '--json', ...there])
    expect([verified.code, verified.json()]).toEqual([
      exitCodes.done,
      expect.objectContaining({ threads: 4, different: [] }),
    ])
  })

  it('never writes over a backup that is there', async () => {
    const file = join(folder, 'kept.jsonl')
    writeFileSync(file, 'kept')
    expect((await memory('backup', '--output', file)).code).not.toBe(exitCodes.done)
    expect(readFileSync(file, 'utf8')).toBe('kept')
  })

  it('refuses a damaged backup, and restores nothing of it', async () => {
    const file = join(folder, 'damaged.jsonl')
    const { out } = await memory('backup', '--owner', 'user:1')
    writeFileSync(file, out.replace('question', 'QUESTION'))
    const { code, err } = await runCommand(['memory', 'verify', file, '--url', other.url])
    expect(code).toBe(exitCodes.usage)
    expect(err).toMatch(/damaged|checksum/i)
    const restored = await runCommand(['memory', 'restore', file, '--json', '--url', other.url])
    expect([restored.code, restored.json()]).toEqual([
      exitCodes.usage,
      { error: expect.stringContaining('checksum') },
    ])
  })

  it('says where a backup and Redis differ', async () => {
    const file = join(folder, 'differs.jsonl')
    await memory('backup', '--output', file)
    const { code, json } = await runCommand(['memory', 'verify', file, '--json', '--url', other.url])
    expect(code).toBe(exitCodes.usage)
    expect((json() as { different: unknown[] }).different).toHaveLength(4)
  })

  it('erases an owner only when it is told to', async () => {
    expect(await memory('erase', '--owner', 'user:1')).toMatchObject({
      code: exitCodes.usage,
      err: expect.stringContaining('--yes'),
    })
    const asked: string[] = []
    const answer = (text: string) => async (question: string) => {
      asked.push(question)
      return text
    }
    const run = (text: string) =>
      runCommand(['memory', 'erase', '--owner', 'user:1', '--url', server.url, '--json'], {
        ask: answer(text),
      })
    expect((await run('n')).code).toBe(exitCodes.usage)
    const done = await run('y')
    expect([done.code, done.json()]).toEqual([
      exitCodes.done,
      expect.objectContaining({ owner: 'user:1', threads: 2, verified: true }),
    ])
    expect((await memory('owners')).out).toBe('user:2')
    expect(asked).toHaveLength(2)
  })
})
