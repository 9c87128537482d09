import { setTimeout as pause } from 'node:timers/promises'
import { readArguments } from './arguments.js'
import { drive } from './driver.js'
import { checksOf, type Findings, tableOf } from './findings.js'
import { scrape } from './metrics.js'
import { outageDuring } from './outage.js'
import { printChecks, printTable, progressOf } from './print.js'
import { type Running, start } from './processes.js'
import { OwnRedis } from './redis.js'
import { traceWorkload } from './trace.js'
import { ownWorkload, requestsPerMinute, type Workload } from './workload.js'

const decoderSlots = 8

const args = readArguments(process.argv.slice(2), process.env)
const running: Running[] = []
let ownRedis: OwnRedis | undefined

async function main(): Promise<boolean> {
  const workload = await workloadOf()
  console.log(`evenkeel gateway demo: ${workload.name}`)
  console.log('without evenkeel: the same requests straight to the decoders, in turn')
  const plain = await startDecoders(undefined)
  const baseline = await drive(
    workload.jobs,
    plain.map(({ url }) => url),
    progressOf('  answered'),
  )
  for (const decoder of plain) await decoder.stop()

  if (args.chaos) ownRedis = await OwnRedis.start()
  const redisUrl = ownRedis?.url ?? args.redisUrl
  // Dies when a good part of its share is done.
  const decoders = await startDecoders(
    Math.max(3, Math.floor(new Set(workload.jobs.map(({ prompt }) => prompt)).size / 10)),
  )
  const gateways = await startGateways(redisUrl, decoders)
  const urls = gateways.map(({ url }) => url)
  console.log(
    `with evenkeel: ${gateways.length} gateway${gateways.length > 1 ? 's' : ''}, ${redisUrl ? 'on Redis' : 'in process'}, one slow decoder and one that dies`,
  )

  const durationMs = workload.jobs.at(-1)?.atMs ?? 0
  const startedAt = performance.now()
  const [results, outage] = await Promise.all([
    drive(workload.jobs, urls, progressOf('  answered')),
    ownRedis && outageDuring(ownRedis, urls, durationMs, startedAt),
  ])
  const nodes = decoders.map(({ name }) => name)
  const metrics = await scrape(urls)
  const findings: Findings = {
    workload,
    baseline,
    results,
    metrics,
    nodes,
    gateways: gateways.length,
    dyingSlots: decoderSlots,
    outage,
  }
  printTable(tableOf(findings))
  const checks = checksOf(findings)
  printChecks(checks)
  return checks.every(({ held }) => held)
}

async function workloadOf(): Promise<Workload> {
  if (args.trace === undefined) return ownWorkload(args.requests)
  return traceWorkload(args.trace, args.speed, args.requests, requestsPerMinute + 20)
}

/** Two good ones, a slow one, and one that may die. */
async function startDecoders(diesAt: number | undefined): Promise<Running[]> {
  const decoder = (name: string, pace: number, ...more: string[]) =>
    start('decoder', name, ['--slots', String(decoderSlots), '--pace', String(pace), ...more])
  const decoders = await Promise.all([
    decoder('decoder-1', 2),
    decoder('decoder-2', 2),
    decoder('decoder-slow', 8),
    decoder('decoder-mortal', 2, ...(diesAt === undefined ? [] : ['--dies-at', String(diesAt)])),
  ])
  running.push(...decoders)
  return decoders
}

async function startGateways(redisUrl: string | undefined, decoders: readonly Running[]): Promise<Running[]> {
  const count = redisUrl === undefined ? 1 : 2
  const env = {
    REDIS_URL: redisUrl ?? '',
    GATEWAY_NAMESPACE: `evenkeel-demo-${process.pid}`,
    GATEWAY_INSTANCES: String(count),
    GATEWAY_REQUESTS_PER_MINUTE: String(requestsPerMinute),
  }
  const gateways = await Promise.all(
    Array.from({ length: count }, (_, index) => start('gateway', `gateway-${index + 1}`, [], env)),
  )
  running.push(...gateways)
  const [first] = gateways
  for (const { name, url } of decoders) {
    const node = { id: name, endpoint: url, capacity: decoderSlots }
    await fetch(`${first?.url}/nodes`, { method: 'POST', body: JSON.stringify(node) })
  }
  await Promise.all(gateways.map((gateway) => knowsNodes(gateway.url, decoders.length)))
  return gateways
}

async function knowsNodes(url: string, count: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { nodes } = (await (await fetch(`${url}/health`)).json()) as { nodes: unknown[] }
    if (nodes.length === count) return
    await pause(25)
  }
  throw new Error(`The gateway at ${url} does not know the decoders`)
}

async function stopAll(): Promise<void> {
  await Promise.all(running.map((one) => one.stop()))
  await ownRedis?.takeAway()
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
