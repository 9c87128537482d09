import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

const bin = fileURLToPath(new URL('../bin/evenkeel.js', import.meta.url))
const conversations = 60
/** Messages of one more conversation, of several pages. */
const longChat = 3_000
const messagesInAll = conversations * 40 + longChat

let server: RedisServer
let folder: string
beforeAll(async () => {
  server = await startRedis()
  const redis = await connect({ url: server.url })
  const memory = createAgentMemory({ redis })
  const messages = Array.from({ length: 40 }, (_, index) => ({
    role: 'user',
    content: `${index} `.repeat(500),
  }))
  for (let chat = 0; chat < conversations; chat++)
    await memory.owner('ada').thread(`chat-${chat}`).append(messages)
  for (let from = 0; from < longChat; from += 1_000)
    await memory
      .owner('ada')
      .thread('chat-long')
      .append(
        Array.from({ length: 1_000 }, (_, index) => ({ role: 'user', content: `message ${from + index}` })),
      )
  await memory.close()
  await redis.close()
})
afterAll(() => server.close())
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-process-'))
  return () => rmSync(folder, { recursive: true, force: true })
})

/** Starts the built command as a process without a terminal. */
function evenkeel(args: readonly string[], url = server.url): ChildProcess {
  return spawn(process.execPath, [bin, ...args], { env: { ...process.env, REDIS_URL: url } })
}

async function ended(child: ChildProcess): Promise<{ code: number | null; err: string }> {
  let err = ''
  child.stderr?.on('data', (chunk) => {
    err += chunk
  })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, err }
}

describe('the command as a process', () => {
  it('ends without a word, and not as if it were done, when its reader leaves', async () => {
    const child = evenkeel(['memory', 'backup'])
    child.stdout?.once('data', () => child.stdout?.destroy())
    expect(await ended(child)).toEqual({ code: exitCodes.readerLeft, err: '' })
  })

  it('waits for a reader that is slow, and gives it all', async () => {
    const child = evenkeel(['memory', 'backup'])
    let out = ''
    child.stdout?.pause()
    await new Promise((resolve) => child.stdout?.once('readable', resolve))
    child.stdout?.on('data', (chunk) => {
      out += chunk
    })
    child.stdout?.resume()
    const { code, err } = await ended(child)
    expect([code, err]).toEqual([0, `${conversations + 1} conversations, ${messagesInAll} messages\n`])
    expect(JSON.parse(out.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({ threads: conversations + 1 })
  })

  it('goes on when nobody hears its standard error', async () => {
    const output = join(folder, 'backup.jsonl')
    const child = evenkeel(['memory', 'backup', '--output', output, '--json'])
    child.stderr?.destroy()
    child.stdout?.resume()
    const [code] = await once(child, 'close')
    expect(code).toBe(0)
    const last = readFileSync(output, 'utf8').trimEnd().split('\n').at(-1) ?? ''
    expect(JSON.parse(last)).toMatchObject({ threads: conversations + 1 })
    expect(statSync(output).mode & 0o777).toBe(0o600)
  })

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'leaves no part of a backup when %s ends it, and says so',
    async (signal) => {
      await using proxy = await startProxy({ host: server.host, port: server.port })
      // Each step takes its time, so that it is not done before the signal comes.
      proxy.delay(100)
      const output = join(folder, 'backup.jsonl')
      const child = evenkeel(['memory', 'backup', '--output', output], proxy.url)
      const over = ended(child)
      child.stdout?.resume()
      await until(() => readdirSync(folder).some((name) => name.endsWith('.partial')), 30_000)
      expect(readdirSync(folder)).not.toContain('backup.jsonl')
      child.kill(signal)
      expect(await over).toEqual({
        code: exitCodes.interrupted,
        err: `evenkeel: interrupted: ${output} was not written\n`,
      })
      expect(readdirSync(folder)).toEqual([])
    },
  )

  it('ends an export that SIGINT interrupts as one that is not whole, and leaves no file of it', async () => {
    await using proxy = await startProxy({ host: server.host, port: server.port })
    proxy.delay(100)
    const output = join(folder, 'chat.jsonl')
    const args = ['memory', 'export', '--owner', 'ada', '--thread', 'chat-long', '--output', output]
    const child = evenkeel(args, proxy.url)
    const over = ended(child)
    await until(() => readdirSync(folder).some((name) => name.endsWith('.partial')), 30_000)
    child.kill('SIGINT')
    expect(await over).toEqual({
      code: exitCodes.interrupted,
      err: `evenkeel: interrupted: ${output} was not written\n`,
    })
    expect(readdirSync(folder)).toEqual([])
  })

  it('ends an export to a reader that does not read, when it is told to', async () => {
    const child = evenkeel(['memory', 'export', '--owner', 'ada', '--thread', 'chat-long'])
    const over = ended(child)
    child.stdout?.pause()
    // The output is longer than what a pipe holds.
    await new Promise((resolve) => child.stdout?.once('readable', resolve))
    child.kill('SIGINT')
    await new Promise((resolve) => child.stderr?.once('data', resolve))
    child.stdout?.resume()
    expect(await over).toEqual({
      code: exitCodes.interrupted,
      err: 'evenkeel: interrupted: the conversation is not whole\n',
    })
  })

  it('exports a conversation of several pages, in order, to a file that only its owner reads', async () => {
    const output = join(folder, 'chat.jsonl')
    const child = evenkeel([
      'memory',
      'export',
      '--owner',
      'ada',
      '--thread',
      'chat-long',
      '--output',
      output,
    ])
    expect(await ended(child)).toEqual({ code: 0, err: '' })
    const lines = readFileSync(output, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).content)).toEqual(
      Array.from({ length: longChat }, (_, index) => `message ${index}`),
    )
    expect(statSync(output).mode & 0o777).toBe(0o600)
  })

  it('says in one line where a file can not be written', async () => {
    const output = join(folder, 'none', 'backup.jsonl')
    const child = evenkeel(['memory', 'backup', '--output', output])
    child.stdout?.resume()
    const { code, err } = await ended(child)
    expect([code, err]).toEqual([
      exitCodes.usage,
      expect.stringMatching(/^evenkeel: .*can't be written: ENOENT.*\n$/),
    ])
  })

  it('asks nobody where there is no terminal, and removes nothing', async () => {
    const child = evenkeel(['memory', 'erase', '--owner', 'ada'])
    child.stdin?.end('yes\n')
    child.stdout?.resume()
    const { code, err } = await ended(child)
    expect([code, err]).toEqual([exitCodes.usage, expect.stringContaining('--yes')])
  })
})

it.each([
  ['erase', ['erase', '--owner', 'nobody', '--yes']],
  ['backup', ['backup']],
])('%s that is interrupted says what that leaves', async (_, args) => {
  const { code, err } = await runCommand(['memory', ...args, '--url', server.url], {
    stopped: () => Promise.resolve(),
  })
  expect([code, err]).toEqual([exitCodes.interrupted, expect.stringMatching(/^evenkeel: interrupted: /)])
})
