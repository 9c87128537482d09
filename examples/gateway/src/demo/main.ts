import { readArguments } from './arguments.js'
import { checksOf } from './checks.js'
import { askTwice, drive } from './driver.js'
import type { Findings } from './findings.js'
import { decoderSlots, fateOfMortal, metricsOf, mortalName, startDecoders, startGateways } from './fleet.js'
import { outageDuring } from './outage.js'
import { printChecks, printPointers, printTable } from './print.js'
import type { Running } from './processes.js'
import { Progress } from './progress.js'
import { forget, OwnRedis } from './redis.js'
import { Schedule } from './schedule.js'
import { tableOf } from './table.js'
import { traceWorkload } from './trace.js'
import { ownWorkload, repeater, requestsPerMinute, type Workload } from './workload.js'

const args = readArguments(process.argv.slice(2), process.env)
const namespace = `evenkeel-demo-${process.pid}`
const running: Running[] = []
let ownRedis: OwnRedis | undefined

async function main(): Promise<boolean> {
  const workload = await workloadOf()
  console.log(`evenkeel gateway demo: ${workload.name}`)
  const baseline = await withoutEvenkeel(workload)
  const findings = { ...(await withEvenkeel(workload)), baseline }
  printTable(tableOf(findings))
  const checks = checksOf(findings)
  printChecks(checks)
  printPointers(args.chaos)
  return checks.every(({ held }) => held)
}

function workloadOf(): Workload | Promise<Workload> {
  // More than the limit; with an outage, more than the limit and the gateways' shares of it together.
  const greedyRequests = requestsPerMinute * (args.chaos ? 2 : 1) + 30
  if (args.trace === undefined) return ownWorkload(args.requests, greedyRequests)
  return traceWorkload(args.trace, args.speed, args.requests, greedyRequests)
}

async function withoutEvenkeel({ jobs }: Workload): Promise<Findings['baseline']> {
  console.log('\nWithout evenkeel: straight to the decoders, in turn; one is slow, one dies half-way')
  // Each of four decoders gets a quarter of the requests, so this one dies after half of its share.
  const decoders = kept(await startDecoders(Math.ceil(jobs.length / 8)))
  const urls = decoders.map(({ url }) => url)
  const progress = new Progress('without', lastAt(jobs))
  const mortal = decoders.find(({ name }) => name === mortalName)
  mortal?.child.once('exit', () => progress.note('a decoder has died; its part of the requests fails'))
  const onProgress = (done: number, total: number) => progress.answered(done, total)
  const baseline = await drive(jobs, { urls, memory: 'client', sticky: false, onProgress })
  progress.end()
  await Promise.all(decoders.map((decoder) => decoder.stop()))
  return baseline
}

async function withEvenkeel({ jobs }: Workload): Promise<Omit<Findings, 'baseline'>> {
  if (args.chaos) ownRedis = await OwnRedis.start()
  const redisUrl = ownRedis?.url ?? args.redisUrl
  // The dying decoder gives fewer answers here, because of the cache.
  const decoders = kept(await startDecoders(Math.ceil(new Set(jobs.map(({ prompt }) => prompt)).size / 10)))
  const users = [...new Set([...jobs.map(({ user }) => user), repeater])]
  const gateways = kept(await startGateways({ redisUrl, namespace, users }, decoders))
  console.log(
    `\nWith evenkeel: ${gateways.length > 1 ? '2 gateways, on Redis' : '1 gateway, in process'}, before the same decoders`,
  )
  const urls = gateways.map(({ url }) => url)
  const progress = new Progress('with', lastAt(jobs))
  const onProgress = (done: number, total: number) => progress.answered(done, total)
  const mortalOne = decoders.find(({ name }) => name === mortalName)
  mortalOne?.child.once('exit', () => progress.note('a decoder has died; the others take over'))
  const schedule = new Schedule()
  const [results, outage] = await Promise.all([
    drive(jobs, { urls, memory: 'gateway', sticky: args.chaos, schedule, onProgress }),
    ownRedis &&
      outageDuring({ redis: ownRedis, gateways: urls, durationMs: lastAt(jobs), schedule, progress }),
  ])
  progress.end()
  const mortal = await fateOfMortal(decoders, gateways)
  const metrics = await metricsOf(urls)
  return {
    results,
    repeats: await askTwice(urls[0] ?? ''),
    outage,
    mortal,
    metrics,
    nodes: decoders.map(({ name }) => name),
    gateways: gateways.length,
    slots: decoderSlots,
  }
}

/** When the last request is sent. */
function lastAt(jobs: Workload['jobs']): number {
  return jobs.at(-1)?.atMs ?? 0
}

/** Keeps the processes, so that they end with the demo, however it ends. */
function kept(started: readonly Running[]): readonly Running[] {
  running.push(...started)
  return started
}

async function stopAll(): Promise<void> {
  await Promise.all(running.map((one) => one.stop()))
  if (ownRedis !== undefined) await ownRedis.close()
  else if (args.redisUrl !== undefined) await forget(args.redisUrl, namespace)
}

process.once('SIGINT', () => void stopAll().then(() => process.exit(130)))

try {
  const held = await main()
  await stopAll()
  process.exit(held ? 0 : 1)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  await stopAll()
  process.exit(1)
}
