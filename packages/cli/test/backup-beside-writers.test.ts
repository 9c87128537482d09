import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AgentMemory, createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { runCommand } from './support.js'

const owners = Array.from({ length: 12 }, (_, index) => `user:${index}`)
const chats = ['a', 'b', 'c']

let folder: string
let server: RedisServer
let other: RedisServer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-backup-'))
  server = await startRedis()
  other = await startRedis()
})
afterAll(async () => {
  await server.close()
  await other.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Writes to all conversations in turn until stopped; records what was acknowledged, in order. */
function writers(memory: AgentMemory) {
  const stored = new Map<string, string[]>()
  const failed: string[] = []
  let running = true
  let rounds = 0
  const work = Promise.all(
    owners.map(async (owner) => {
      for (let number = 0; running; number++) {
        for (const chat of chats) {
          const id = `${owner}-${chat}-${number}`
          const message = { id, role: 'user', content: `${number} `.repeat(20) }
          const { status } = await memory.owner(owner).thread(chat).append(message)
          if (status !== 'stored') failed.push(`${id}: ${status}`)
          stored.set(`${owner} ${chat}`, [...(stored.get(`${owner} ${chat}`) ?? []), id])
        }
        rounds++
        // At the pace of a service: some hundreds of messages are written while the command works.
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }),
  )
  return {
    snapshot: () => new Map([...stored].map(([name, ids]) => [name, [...ids]])),
    get rounds() {
      return rounds
    },
    stop: async () => {
      running = false
      await work
      expect(failed).toEqual([])
    },
  }
}

async function idsIn(memory: AgentMemory): Promise<Map<string, string[]>> {
  const ids = new Map<string, string[]>()
  for (const owner of owners) {
    for (const chat of chats) {
      const all: string[] = []
      let after: number | undefined = 0
      while (after !== undefined) {
        const page = await memory.owner(owner).thread(chat).page({ after, limit: 500 })
        all.push(...page.entries.map(({ message }) => message.id))
        after = page.next
      }
      ids.set(`${owner} ${chat}`, all)
    }
  }
  return ids
}

it('a backup beside writers holds all that was stored before it, in order, and is the same on another Redis', async () => {
  await using redis = await connect({ url: server.url })
  await using elsewhere = await connect({ url: other.url })
  const memory = createAgentMemory({ redis })
  const restoredMemory = createAgentMemory({ redis: elsewhere })
  const writing = writers(memory)
  await until(() => writing.rounds >= owners.length * 15, 60_000)

  const before = writing.snapshot()
  const first = join(folder, 'first.jsonl')
  const progress: string[] = []
  const here = ['--url', server.url]
  const there = ['--url', other.url]
  const made = await runCommand(['memory', 'backup', '--output', first, ...here], {
    progress: (line) => void (line !== undefined && progress.push(line)),
  })
  expect([made.code, made.err]).toEqual([0, expect.stringContaining('36 conversations')])
  const atEnd = writing.rounds
  await until(() => writing.rounds > atEnd, 60_000)
  if (readFileSync(first, 'utf8').split('\n').length > 500) expect(progress).not.toEqual([])

  expect((await runCommand(['memory', 'restore', first, ...there])).code).toBe(0)
  expect((await runCommand(['memory', 'verify', first, '--json', ...there])).json()).toMatchObject({
    different: [],
  })
  const restored = await idsIn(restoredMemory)
  await writing.stop()
  const after = writing.snapshot()
  for (const [name, ids] of restored) {
    expect(ids.length, name).toBeGreaterThanOrEqual(before.get(name)?.length ?? 0)
    // Without a gap: the backup holds the messages from the first up to some later one.
    expect(ids, name).toEqual(after.get(name)?.slice(0, ids.length))
  }

  // The next backup brings what was written meanwhile; then both servers hold the same.
  const second = join(folder, 'second.jsonl')
  expect((await runCommand(['memory', 'backup', '--output', second, ...here])).code).toBe(0)
  expect((await runCommand(['memory', 'restore', second, '--mode', 'replace', '--yes', ...there])).code).toBe(
    0,
  )
  for (const place of [here, there])
    expect((await runCommand(['memory', 'verify', second, '--json', ...place])).json()).toMatchObject({
      different: [],
    })
  expect(await idsIn(restoredMemory)).toEqual(after)
  await memory.close()
  await restoredMemory.close()
})
