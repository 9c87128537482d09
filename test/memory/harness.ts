import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startProxy, startRedis } from '@evenkeel/test-servers'
import { openHistory } from './history.js'
import { judge, type Verdict } from './judge.js'
import { Member } from './member.js'
import type { Scenario, Stage } from './scenarios.js'
import type { Library } from './task.js'

export interface RunOptions {
  readonly library: Library
  readonly scenario: Scenario
  /** How long there are faults; each occurs at least once, however short this is. */
  readonly ms: number
  /** Whether callers retry until their message is taken. @default false */
  readonly isStubborn?: boolean | undefined
}

/** The result of a round: what the processes were told, and what was wrong in the end. */
export interface Round extends Verdict {
  readonly acknowledged: number
  readonly journaled: number
  readonly healed: number
  readonly refused: number
  readonly faults: number
  readonly kills: number
  readonly reads: number
  /** Walks over many threads that were completed. */
  readonly walks: number
  /** The longest that a writer waited for one message. */
  readonly longestMs: number
}

/** Runs four writers and two readers of one thread, and a walker over many, through one fault after another. */
export async function runRound({ library, scenario, ms, isStubborn = false }: RunOptions): Promise<Round> {
  const server = await startRedis({ args: scenario.args })
  const proxy = await startProxy(server)
  const dir = await mkdtemp(join(tmpdir(), 'evenkeel-history-'))
  // On a busy machine, syncing megabytes one by one can take longer than a short deadline.
  const timeoutMs = scenario.isOfFiles ? 500 : 150
  const common = { library, url: proxy.url, isStubborn, timeoutMs }
  const dirOf = (name: string) => (scenario.isOfFiles ? join(dir, name) : dir)
  const writers = ['a', 'b', 'c', 'd'].map(
    (name) => new Member({ ...common, role: 'writer', name, dir: dirOf(name) }),
  )
  const readers = ['r', 's'].map((name) => new Member({ ...common, role: 'reader', name }))
  // Where writers die over megabytes of journals, a walker would only slow them down.
  const walks = library === 'evenkeel' && scenario.isOfFiles !== true
  const walkers = walks ? [new Member({ ...common, role: 'walker', name: 'w' })] : []
  const members = [...writers, ...readers, ...walkers]
  const stage: Stage = { server, proxy, writers, ends: [] }
  let faults = 0
  try {
    await areAtWork(writers)
    const endsAt = performance.now() + ms
    for (; faults < scenario.faults.length || performance.now() < endsAt; faults++) {
      await scenario.faults[faults % scenario.faults.length]?.(stage)
      // The next fault begins only when all writers work again.
      await areAtWork(writers)
      await pause(100)
    }
    await Promise.all(members.map((member) => member.end()))
    const history = await openHistory({ library, url: stage.server.url, timeoutMs: 10_000 })
    const log = await history.all()
    await history.end()
    const sum = (of: (member: Member) => number) => members.reduce((total, member) => total + of(member), 0)
    return {
      ...judge(log, writers, scenario.loses ? [] : readers, scenario.loses ? [] : walkers),
      acknowledged: sum(({ acknowledged }) => acknowledged.length),
      journaled: sum(({ journaled }) => journaled),
      healed: sum(({ healed }) => healed),
      refused: sum(({ refused }) => refused),
      kills: sum(({ kills }) => kills),
      reads: sum(({ reads }) => reads.length),
      walks: sum(({ walks }) => walks),
      longestMs: Math.max(...writers.map(({ longestMs }) => longestMs)),
      faults,
    }
  } finally {
    for (const member of members) member.destroy()
    for (const end of stage.ends) await end()
    await proxy.close()
    await server.close()
    await rm(dir, { recursive: true, force: true })
  }
}

async function areAtWork(writers: readonly Member[]): Promise<void> {
  await Promise.all(writers.map((writer) => writer.writes(20)))
}
