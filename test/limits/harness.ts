import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@evenkeel/test-servers'
import { forkWorker } from '../tooling/fork-worker.js'
import { judge, type LimitResult, type Span, settleMs } from './oracle.js'
import {
  type Beginning,
  type Contender,
  type Kind,
  monotonicMs,
  type Outcome,
  parameters,
  type Task,
  windowOf,
} from './plan.js'

export interface Run extends LimitResult {
  readonly contender: Contender
  readonly kind: Kind
  readonly processes: number
  readonly admitted: number
  readonly byMemory: number
  readonly denied: number
  readonly failed: number
}

export interface RunOptions {
  readonly contender: Contender
  readonly kind: Kind
  readonly processes: number
  readonly ms: number
  /** Whether Redis is killed and frozen; otherwise it stays up. */
  readonly faults: boolean
}

const worker = fileURLToPath(new URL('./worker.ts', import.meta.url))

/**
 * Real processes call for one subject at random moments, while Redis is killed twice, comes back empty, and is frozen
 * in between. Afterwards the answers are judged by what was certainly admitted, and when.
 */
export async function runHarness({ contender, kind, processes, ms, faults }: RunOptions): Promise<Run> {
  const server = await startRedis()
  const children = Array.from({ length: processes }, () => forkWorker(worker))
  try {
    const task: Task = { contender, kind, url: server.url, processes, clients: 6 }
    const outcomes = children.map(outcomeOf)
    const ready = children.map(readyOf)
    for (const child of children) child.send(task)
    await Promise.race([Promise.all(ready), Promise.all(outcomes)])
    const startMs = monotonicMs() + 100
    const untilMs = startMs + ms
    const beginning: Beginning = { startMs, untilMs }
    for (const child of children) child.send(beginning)
    const outages: Span[] = []
    const at = (part: number) => sleepUntil(startMs + part * ms)
    if (faults) {
      await at(0.2)
      outages.push(
        await during(
          () => server.kill(),
          () => at(0.3),
          () => server.restart({ empty: true }),
        ),
      )
      await at(0.5)
      outages.push(
        await during(
          () => server.freeze(),
          () => at(0.6),
          () => server.resume(),
        ),
      )
      await at(0.75)
      outages.push(
        await during(
          () => server.kill(),
          () => at(0.85),
          () => server.restart({ empty: true }),
        ),
      )
    }
    const all = await Promise.all(outcomes)
    const admissions = all.flatMap((outcome) => outcome.admissions)
    const windowMs = windowOf(contender, kind)
    const { limit } = parameters[kind]
    return {
      contender,
      kind,
      processes,
      admitted: admissions.length,
      byMemory: admissions.filter(({ source }) => source === 'memory').length,
      denied: all.reduce((sum, { denied }) => sum + denied, 0),
      failed: all.reduce((sum, { failed }) => sum + failed, 0),
      ...judge(admissions, kind, limit, windowMs, outages, { fromMs: startMs, toMs: untilMs }),
    }
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await server.close()
  }
}

function readyOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on('message', (message) => {
      if (message === 'ready') resolve()
    })
  })
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (message !== 'ready') resolve(message as Outcome)
    })
    child.once('exit', (code) => reject(new Error(`A process ended with ${code}`)))
  })
}

async function during(begin: () => unknown, wait: () => Promise<void>, end: () => unknown): Promise<Span> {
  const fromMs = monotonicMs()
  await begin()
  await wait()
  await end()
  return { fromMs, toMs: monotonicMs() + settleMs }
}

function sleepUntil(atMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - monotonicMs())))
}
