import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Report, requestsPerSecond } from '../limit.js'
import { OwnRedis } from './redis.js'

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

const children = Array.from({ length: count }, start)
let reports: (Report | undefined)[] = []
let [failed, most, halves] = [0, 0, 0]
let previous = 0
for (const [index, child] of children.entries())
  child.on('message', (report) => {
    reports[index] = report as Report
  })
await pause(800)
reports = []
for (const { seconds, what, begin } of plan) {
  console.log(`        — ${what}`)
  await begin?.()
  for (let half = 0; half < seconds * 2; half++) {
    await pause(500)
    printRow()
  }
}
for (const child of children) child.disconnect()
await Promise.all(children.map((child) => new Promise((resolve) => child.once('exit', resolve))))
await own?.takeAway()

// Half seconds of four processes do not begin together, so a second of the table may hold a bit of its neighbours.
const bound = requestsPerSecond * (1 + 1 / count) * 1.1
console.log(`\n${failed === 0 ? '✓' : '✗'} no call failed (${failed})`)
console.log(
  `${most <= bound ? '✓' : '✗'} at most ${most} admitted in a second of the table, limit ${requestsPerSecond}`,
)
process.exitCode = failed === 0 && most <= bound && most > 0 ? 0 : 1

function printRow(): void {
  const now = reports.map((report) => report ?? { admitted: 0, denied: 0, byMemory: 0, failed: 0 })
  reports = []
  const sum = (field: keyof Report) => now.reduce((total, report) => total + (report?.[field] ?? 0), 0)
  const admitted = sum('admitted')
  failed += sum('failed')
  most = Math.max(most, admitted + previous)
  previous = admitted
  halves++
  const cells = children.map((_, index) => String(now[index]?.admitted ?? 0).padStart(6))
  const row = [admitted, sum('denied'), sum('byMemory')].map((value, index) =>
    String(value).padStart([10, 8, 11][index] ?? 8),
  )
  console.log(`${(halves / 2).toFixed(1).padStart(6)}  ${cells.join('')}${row.join('')}`)
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
  return new Promise((resolve) => setTimeout(resolve, ms))
}
