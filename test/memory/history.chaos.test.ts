import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@evenkeel/core'
import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { createAgentMemory } from '../src/index.js'

/** How long writers write; EVENKEEL_HISTORY_MS=1800000 is the long run. */
const runMs = Number(process.env.EVENKEEL_HISTORY_MS ?? 3_000)

interface Message {
  readonly acknowledged?: number
  readonly status?: string
  readonly read?: readonly string[]
  readonly ended?: boolean
  readonly healed?: number
  readonly replayed?: number
}

/** A process, and the one that takes its place when it is killed. */
class Member {
  readonly acknowledged: number[] = []
  readonly reads: (readonly string[])[] = []
  journaled = 0
  kills = 0
  healed = 0
  #child: ChildProcess
  #ended = false

  constructor(
    readonly role: 'writer' | 'reader',
    readonly name: string,
    private readonly url: string,
    private readonly dir: string | undefined,
  ) {
    this.#child = this.#start()
  }

  /** As when the machine kills it: nothing is awaited, nothing is closed. */
  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGKILL')
    await gone
    this.kills++
    this.#child = this.#start()
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.send('stop')
    await gone
    expect(this.#ended).toBe(true)
  }

  #start(): ChildProcess {
    // What was under way when it was killed may be stored: its number is not used again.
    const from = (this.acknowledged.at(-1) ?? 0) + 2
    const task = { role: this.role, name: this.name, url: this.url, dir: this.dir, from }
    const child = fork(new URL('processes/member.mjs', import.meta.url), [JSON.stringify(task)], {
      execArgv: [],
    })
    child.on('message', (message: Message) => {
      if (message.acknowledged !== undefined) this.acknowledged.push(message.acknowledged)
      if (message.status === 'journaled') this.journaled++
      if (message.read !== undefined) this.reads.push(message.read)
      if (message.ended) this.#ended = true
      this.healed += message.healed ?? 0
    })
    return child
  }
}

/** What a fault may do: to the server, to what lies between it and the writers, and to them. */
interface Scene {
  readonly server: RedisServer
  readonly proxy: FaultProxy
  readonly writers: readonly Member[]
  readonly turn: number
}

type Fault = (scene: Scene) => Promise<unknown>

interface Run {
  readonly writers: readonly Member[]
  readonly readers: readonly Member[]
  readonly log: readonly string[]
}

async function run(args: Record<string, string>, faults: readonly Fault[]): Promise<Run> {
  const server = await startRedis({ args })
  const proxy = await startProxy(server)
  const dir = await mkdtemp(join(tmpdir(), 'evenkeel-history-'))
  const writers = ['a', 'b', 'c', 'd'].map((name) => new Member('writer', name, proxy.url, dir))
  const readers = ['r', 's'].map((name) => new Member('reader', name, proxy.url, undefined))
  try {
    await until(() => writers.every(({ acknowledged }) => acknowledged.length > 20), 20_000)
    const endsAt = performance.now() + runMs
    for (let turn = 0; performance.now() < endsAt; turn++) {
      await faults[turn % faults.length]?.({ server, proxy, writers, turn })
      const counts = writers.map(({ acknowledged }) => acknowledged.length)
      // Each fault meets a service that is at work again.
      await until(
        () => writers.every(({ acknowledged }, index) => acknowledged.length > (counts[index] ?? 0) + 20),
        20_000,
      )
      await pause(300)
    }
    for (const member of [...writers, ...readers]) await member.stop()
    const redis = await connect({ url: proxy.url })
    const memory = createAgentMemory({ redis })
    const log: string[] = []
    let seq = 0
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await memory.owner('o').thread('t').page({ after, limit: 500 })
      for (const entry of page.entries) {
        expect(entry.seq).toBe(++seq)
        log.push(entry.message.id)
      }
      after = page.next
    }
    memory.close()
    await redis.close()
    return { writers, readers, log }
  } finally {
    await proxy.close()
    await server.close()
    await rm(dir, { recursive: true, force: true })
  }
}

/** Every acknowledged message is there, once, in its writer's order. */
function checkWriters({ writers, log }: Run): void {
  expect(new Set(log).size).toBe(log.length)
  for (const { name, acknowledged } of writers) {
    const numbers = log
      .filter((id) => id.startsWith(`${name}-`))
      .map((id) => Number(id.slice(name.length + 1)))
    const there = new Set(numbers)
    expect(acknowledged.filter((number) => !there.has(number))).toEqual([])
    expect(numbers).toEqual([...numbers].sort((one, other) => one - other))
  }
}

/** Every read was a piece of the log as it is now: no reader saw another order, or anything that went away. */
function checkReaders({ readers, log }: Run): void {
  const places = new Map(log.map((id, index) => [id, index]))
  const reads = readers.flatMap((reader) => reader.reads)
  expect(reads.length).toBeGreaterThan(50)
  for (const read of reads) {
    const first = places.get(read[0] ?? '') ?? -1
    expect(read).toEqual(log.slice(first, first + read.length))
  }
}

it(
  'promises 1 to 3: with Redis killed and frozen and writers killed in the middle of it, nothing acknowledged is lost, twice, or out of order',
  async () => {
    const history = await run({ appendonly: 'yes', appendfsync: 'always' }, [
      async ({ server, writers }) => {
        await server.kill()
        await pause(300)
        await writers[0]?.kill()
        await pause(300)
        await server.restart()
      },
      async ({ writers, turn }) => {
        await writers[turn % 4]?.kill()
      },
      async ({ server, writers }) => {
        await server.freeze()
        await pause(400)
        await writers[1]?.kill()
        await server.resume()
      },
      // The command runs, and its reply never comes: the writer can't know.
      async ({ proxy }) => {
        const dropped = proxy.dropReplies(3)
        await pause(700)
        void dropped
      },
      async ({ proxy }) => proxy.cut(),
    ])
    checkWriters(history)
    checkReaders(history)
    expect(history.writers.reduce((sum, { journaled }) => sum + journaled, 0)).toBeGreaterThan(20)
    expect(history.writers.reduce((sum, { kills }) => sum + kills, 0)).toBeGreaterThan(1)
  },
  runMs + 90_000,
)

it(
  'promise 1: a Redis that comes back empty has again what writers were told within the heal window',
  async () => {
    let isOver = false
    const history = await run({ save: '', appendonly: 'no' }, [
      async ({ server }) => {
        // Once: what is older than the window is lost with a server that keeps nothing.
        if (isOver) return
        isOver = true
        await server.restart({ empty: true })
      },
    ])
    checkWriters(history)
    expect(history.writers.reduce((sum, { healed }) => sum + healed, 0)).toBeGreaterThan(50)
  },
  runMs + 90_000,
)

it(
  'promises 1 to 3: nothing acknowledged is lost in a failover to a replica that lags, nor twice, nor out of order',
  async () => {
    const replica = await startRedis({ args: { appendonly: 'yes' } })
    let isOver = false
    try {
      const history = await run({ appendonly: 'yes', appendfsync: 'everysec' }, [
        async ({ server, proxy, writers }) => {
          if (isOver) return
          isOver = true
          const { port } = new URL(server.url)
          await replica.command('REPLICAOF', '127.0.0.1', port)
          await until(
            async () =>
              String(await replica.command('INFO', 'replication')).includes('master_link_status:up'),
            10_000,
          )
          // What is written while it lags is acknowledged, and known by the old primary alone.
          replica.freeze()
          const before = writers.map(({ acknowledged }) => acknowledged.length)
          await until(
            () => writers.every(({ acknowledged }, index) => acknowledged.length > (before[index] ?? 0) + 5),
            10_000,
          )
          await server.kill()
          replica.resume()
          await replica.command('REPLICAOF', 'NO', 'ONE')
          proxy.retarget(replica)
          proxy.cut()
        },
      ])
      checkWriters(history)
      expect(history.writers.reduce((sum, { healed }) => sum + healed, 0)).toBeGreaterThan(10)
    } finally {
      await replica.close()
    }
  },
  runMs + 90_000,
)
