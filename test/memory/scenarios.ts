import { readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type FaultProxy, type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import type { Member } from './member.js'
import type { Long, Step } from './task.js'

/** What a fault may act on: the server, the proxy before it, and the writers. */
export interface Stage {
  /** The primary; another one after a failover. */
  server: RedisServer
  readonly proxy: FaultProxy
  readonly writers: readonly Member[]
  /** Called at the end of the round, to clean up after faults. */
  readonly ends: (() => Promise<void>)[]
}

export type Fault = (stage: Stage) => Promise<unknown>

export interface Scenario {
  readonly name: string
  readonly args: Readonly<Record<string, string>>
  /** Each at least once a round, in this order. */
  readonly faults: readonly Fault[]
  /** Redis loses acknowledged writes, so a message that a reader saw may get another place. */
  readonly loses: boolean
  /** Concerns the journal's files, which peers lack: each writer has its own folder, which no other takes over. */
  readonly isOfFiles?: boolean
}

const always = { appendonly: 'yes', appendfsync: 'always' }
const everysec = { appendonly: 'yes', appendfsync: 'everysec' }

export const scenarios: readonly Scenario[] = [
  {
    name: 'killed, frozen, cut off, robbed of replies; AOF always',
    args: always,
    loses: false,
    faults: [
      killed,
      ({ writers }) => eachIn(writers.slice(1, 3), (writer) => writer.kill()),
      frozen,
      robbedOfReplies,
      cut,
      refused,
      allDie,
    ],
  },
  {
    name: 'power lost, twice in a row; AOF everysec',
    args: everysec,
    loses: true,
    faults: [robbedOfReplies, powerLost],
  },
  {
    name: 'comes back empty; AOF none',
    args: { appendonly: 'no' },
    loses: true,
    faults: [emptied, cut, emptied],
  },
  {
    name: 'fails over to a replica that lags; AOF everysec',
    // A replica's first copy must not wait for other replicas.
    args: { ...everysec, 'repl-diskless-sync': 'no' },
    loses: true,
    faults: [failedOver, failedOver],
  },
  {
    name: 'writers die at each step of the journal; AOF always',
    args: always,
    loses: false,
    isOfFiles: true,
    faults: [
      diesInOutage([
        { call: 'writeSync', moment: 'before', line: 'entry' },
        { call: 'writeSync', moment: 'torn', line: 'entry' },
        { call: 'writeSync', moment: 'after', line: 'entry' },
        { call: 'fdatasync', moment: 'before' },
      ]),
      diesAfterOutage([
        { call: 'writeSync', moment: 'before', line: 'done' },
        { call: 'writeSync', moment: 'torn', line: 'done' },
        { call: 'ftruncateSync', moment: 'before' },
        { call: 'ftruncateSync', moment: 'after' },
      ]),
      diesAtStart([
        { call: 'openSync', moment: 'after' },
        { call: 'renameSync', moment: 'before' },
        { call: 'renameSync', moment: 'after' },
        { call: 'writeSync', moment: 'torn', line: 'entry' },
      ]),
      diesAtStart([
        { call: 'fdatasync', moment: 'before' },
        { call: 'fdatasync', moment: 'after' },
        { call: 'unlinkSync', moment: 'before' },
        { call: 'unlinkSync', moment: 'after' },
      ]),
      diesAtRewrite([
        { call: 'openSync', moment: 'before' },
        { call: 'openSync', moment: 'after' },
        { call: 'unlinkSync', moment: 'before' },
        { call: 'unlinkSync', moment: 'after' },
      ]),
    ],
  },
]

async function killed({ server, writers }: Stage): Promise<void> {
  await server.kill()
  await pause(300)
  await writers[0]?.kill()
  await pause(300)
  await server.restart()
}

async function frozen({ server, writers }: Stage): Promise<void> {
  server.freeze()
  await pause(400)
  await writers[3]?.kill()
  server.resume()
}

/** The command runs, but its reply is lost: the writer cannot know that it ran. */
async function robbedOfReplies({ proxy }: Stage): Promise<void> {
  const writes = ['EVALSHA', 'EVAL', 'LPUSH']
  const { done } = proxy.dropReplies(4, ([name = '']) => writes.includes(name.toUpperCase()))
  await done
}

async function cut({ proxy }: Stage): Promise<void> {
  proxy.cut()
}

async function refused({ proxy }: Stage): Promise<void> {
  await proxy.refuse()
  await pause(300)
  await proxy.restore()
}

/** Each new process may take over another's journal, and must not overtake the messages of the one that it replaces. */
async function allDie({ proxy, writers }: Stage): Promise<void> {
  await proxy.refuse()
  await pause(200)
  const begun = writers.map((writer) => writer.kill())
  // Some begin while Redis is away, and some when it is back.
  await begun[0]
  await proxy.restore()
  await Promise.all(begun)
}

async function emptied({ server }: Stage): Promise<void> {
  await server.restart({ empty: true })
}

/** The disk has only what was synced some time ago. It happens again while the loss is being repaired. */
async function powerLost({ server, writers }: Stage): Promise<void> {
  const folder = join(server.dir, 'appendonlydir')
  const name = (await readdir(folder)).find((file) => file.endsWith('.incr.aof')) ?? ''
  const { size } = await stat(join(folder, name))
  await eachIn(writers, (writer) => writer.writes(20))
  for (let time = 0; time < 2; time++) {
    await server.kill()
    // The server itself may have cut off half a command.
    const now = await stat(join(folder, name))
    await truncate(join(folder, name), Math.min(size, now.size))
    await server.restart()
    await pause(150 * Math.random())
  }
}

async function failedOver(stage: Stage): Promise<void> {
  const { server, proxy, writers, ends } = stage
  const replica = await startRedis({ args: { ...everysec, 'repl-diskless-sync': 'no' } })
  ends.push(() => replica.close())
  await replica.command('REPLICAOF', server.host, String(server.port))
  await until(async () => (await replica.info('master_link_status')) === 'up', 20_000)
  // The replica loses its primary, which alone gets what is written from now on.
  await replica.command('REPLICAOF', server.host, '1')
  await eachIn(writers, (writer) => writer.writes(10))
  await server.kill()
  await replica.command('REPLICAOF', 'NO', 'ONE')
  stage.server = replica
  proxy.retarget(replica)
  proxy.cut()
}

/** Writers die at a step while Redis is away, and begin again before it is back. */
function diesInOutage(steps: readonly Step[]): Fault {
  return async ({ server, writers }) => {
    server.freeze()
    await eachIn(writers, async (writer, index) => {
      const step = steps[index]
      if (step !== undefined) await writer.killAt(step)
    })
    await pause(200)
    server.resume()
  }
}

/** Writers die at a step while their journals go to Redis. */
function diesAfterOutage(steps: readonly Step[], long?: Long): Fault {
  return async ({ server, writers }) => {
    server.freeze()
    const dead = eachIn(writers, async (writer, index) => {
      const step = steps[index]
      if (step !== undefined) await writer.killAt(step, long)
    })
    await eachIn(writers, (writer) => writer.journals(10 + (long?.count ?? 0)))
    server.resume()
    await dead
  }
}

/** The journal gets more replayed data than a file may contain, so that it is rewritten. */
function diesAtRewrite(steps: readonly Step[]): Fault {
  return diesAfterOutage(steps, { length: 200_000, count: 30 })
}

/** Writers die with a journal, and the processes that take it over die at a step. */
function diesAtStart(steps: readonly Step[]): Fault {
  return async ({ proxy, writers }) => {
    // Not frozen: a new process would wait for an answer.
    await proxy.refuse()
    await eachIn(writers, async (writer, index) => {
      await writer.journals(3)
      await writer.kill(steps[index])
      await writer.journals(1)
    })
    await proxy.restore()
  }
}

async function eachIn(
  writers: readonly Member[],
  work: (writer: Member, index: number) => Promise<void>,
): Promise<void> {
  await Promise.all(writers.map(work))
}
