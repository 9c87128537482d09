import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import type { Order, Report, Step, Task } from './task.js'

// A process of the harness: a writer that appends one message after another, a reader, or a walker over many threads.
// It runs the built packages, as an application does, and may be killed at any moment.
const task = JSON.parse(process.argv[2] ?? '{}') as Task
if (task.step !== undefined) dieAt(task.step)
// Imported only now, since `dieAt` must replace functions of `node:fs` first.
const { openHistory } = await import('./history.js')
const history = await openHistory(task)

let isRunning = true
/** Length and number of long messages that are to come. */
let long = { length: 0, count: 0 }
process.on('message', (order: Order) => {
  if (order.kind === 'stop') isRunning = false
  else {
    long = { ...order.long }
    dieAt(order.step)
  }
})
process.on('disconnect', () => process.exit())

if (task.role === 'writer') await write()
else if (task.role === 'reader') await read()
else await walk()
const healed = await history.end()
await tell({ kind: 'ended', healed })
process.disconnect()

async function write(): Promise<void> {
  for (let number = task.from; isRunning; number++) {
    const content = 'x'.repeat(long.count-- > 0 ? long.length : 50)
    const since = performance.now()
    for (;;) {
      try {
        const { journaled } = await history.append(`${task.name}-${number}`, content)
        // Reported only now: a message in flight when the process is killed may be stored or not.
        await tell({ kind: 'acknowledged', number, journaled, ms: performance.now() - since })
        break
      } catch {
        await tell({ kind: 'refused', number })
        await pause(20)
        if (!task.isStubborn || !isRunning) break
      }
    }
    await pause(2)
  }
}

async function read(): Promise<void> {
  while (isRunning) {
    const ids = await history.latest(30).catch(() => undefined)
    if (ids !== undefined) await tell({ kind: 'read', ids })
    await pause(10)
  }
}

async function walk(): Promise<void> {
  while (isRunning) {
    const walked = await history.walk?.(task.name)
    if (walked === undefined) return
    await tell({ kind: 'walked', ...walked })
    // Walks must not slow the writers down: what they journaled must be replayed faster than they write.
    await pause(200)
  }
}

function tell(report: Report): Promise<unknown> {
  return new Promise((resolve) => process.send?.(report, resolve))
}

/** From now on the first call of this kind is the last thing that this process does. */
function dieAt({ call, moment, line }: Step): void {
  const own = fs[call] as (...args: unknown[]) => unknown
  const isMeant = ([file, text]: readonly unknown[]) =>
    (typeof file !== 'string' || file.endsWith('.journal')) &&
    // Only a file that is created; files of other processes are opened for reading.
    (call !== 'openSync' || text === 'ax') &&
    (line === undefined || (line === 'done') === /^[0-9a-f]{8} \{"d":/.test(String(text)))
  const die = () => process.kill(process.pid, 'SIGKILL')
  const mortal = (...args: unknown[]) => {
    if (!isMeant(args)) return own(...args)
    if (moment === 'torn') own(args[0], (args[1] as Buffer).subarray(0, 25))
    if (moment !== 'after') return die()
    const last = args.at(-1)
    if (typeof last === 'function') return own(...args.slice(0, -1), die)
    own(...args)
    return die()
  }
  Object.assign(fs, { [call]: mortal })
  syncBuiltinESMExports()
}
