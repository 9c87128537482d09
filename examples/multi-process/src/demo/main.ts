import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { machineMs, type Report, requestsPerSecond } from '../limit.js'
import { OwnRedis } from './redis.js'
import { Timeline } from './timeline.js'

const { values } = parseArgs({ options: { processes: { type: 'string', default: '4' } } })
const count = Number(values.processes)
if (!Number.isInteger(count) || count < 1 || count > 32)
  throw new Error('--processes: a whole number from 1 to 32')

const given = process.env.REDIS_URL
const own = given ? undefined : await OwnRedis.start()
const url = given ?? own?.url
const plan = [
  { seconds: 3, what: url ? 'Redis decides' : 'no Redis: each process keeps to its part' },
  ...(own
    ? [
        { seconds: 3, what: 'Redis is killed', begin: () => own.takeAway() },
        { seconds: 4, what: 'Redis is back, and empty', begin: () => own.begin() },
      ]
    : []),
]

console.log(
  `${count} processes, one limit of ${requestsPerSecond} requests in any second, ${where()}; each half second:\n`,
)
console.log(
  `${'second'.padStart(6)}  ${names().join('')}${'admitted'.padStart(10)}${'denied'.padStart(8)}${'by memory'.padStart(11)}`,
)

const rowMs = 500
let rows = 0
const children = Array.from({ length: count }, start)
const timeline = new Timeline(count)
for (const [index, child] of children.entries())
  child.on('message', (report) => timeline.add(index, report as Report))
// Waits for the first report of every process; on a busy machine that may take seconds.
await Promise.all(children.map((child) => once(child, 'message')))

let rowBeginsMs = machineMs()
/** The periods in which Redis was down or had just come back. */
const troubled: { readonly fromMs: number; readonly toMs: number }[] = []
for (const { seconds, what, begin } of plan) {
  console.log(`        — ${what}`)
  if (begin !== undefined) troubled.push({ fromMs: machineMs(), toMs: machineMs() + seconds * 1_000 })
  await begin?.()
  for (let half = 0; half < seconds * 2; half++) {
    // A row is printed once all processes have reported on its half second.
    await pause(rowBeginsMs + rowMs * 2 + 100 - machineMs())
    printRow()
  }
}
for (const child of children) child.disconnect()
await Promise.all(children.map((child) => new Promise((resolve) => child.once('exit', resolve))))
await own?.takeAway()

const most = timeline.mostInSecond()
const mostSteady = timeline.mostInSecond((fromMs) =>
  troubled.every((time) => fromMs > time.toMs || fromMs + 1_000 < time.fromMs),
)
// When Redis dies or comes back, a process may not know yet what the others have just admitted.
const edgeBound = Math.ceil(requestsPerSecond * 1.1)
const { failed } = timeline
say(failed === 0, `no call failed (${failed})`)
say(
  mostSteady <= requestsPerSecond,
  `while ${url ? 'Redis decides' : 'each keeps to its part'}: at most ${mostSteady} in any second, limit ${requestsPerSecond}`,
)
if (own)
  say(
    most <= edgeBound,
    `when Redis goes, and when it is back: at most ${most} in any second, bound ${edgeBound} (what others admit in that moment is not known yet)`,
  )
process.exitCode = failed === 0 && mostSteady <= requestsPerSecond && most <= edgeBound && most > 0 ? 0 : 1

function say(isKept: boolean, what: string): void {
  console.log(`${isKept ? '✓' : '✗'} ${what}`)
}

function printRow(): void {
  const { admitted, denied, byMemory } = timeline.between(rowBeginsMs, rowBeginsMs + rowMs)
  rowBeginsMs += rowMs
  rows++
  const cells = admitted.map((own) => String(own).padStart(6))
  const total = admitted.reduce((sum, own) => sum + own, 0)
  const row = [total, denied, byMemory].map((value, index) => String(value).padStart([10, 8, 11][index] ?? 8))
  console.log(`${(rows / 2).toFixed(1).padStart(6)}  ${cells.join('')}${row.join('')}`)
}

function start(): ChildProcess {
  const script = fileURLToPath(new URL('./worker.js', import.meta.url))
  const env = { ...process.env, INSTANCES: String(count), ...(url ? { REDIS_URL: url } : {}) }
  return fork(script, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}

function names(): string[] {
  return Array.from({ length: count }, (_, index) => `p${index + 1}`.padStart(6))
}

function where(): string {
  if (given) return 'on the Redis of REDIS_URL'
  return own
    ? 'on a Redis that the demo starts, kills and brings back'
    : "each alone ('redis-server' is not on the PATH)"
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}
