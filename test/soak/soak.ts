import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Fault, type History, slopeOf, violationsIn } from './checker.js'
import { Member } from './fleet.js'
import { Random } from './random.js'
import { startTopology, type Topology, type TopologyName } from './topologies.js'
import { type Call, Caller, keysEach, organisations } from './traffic.js'

export interface SoakOptions {
  readonly ms: number
  readonly seed: number
  readonly topology: TopologyName
  /** Number of callers at once. @default 24 */
  readonly callers?: number
  /** How long after an outage a gateway may take to hand over what it kept. @default 45_000 */
  readonly settledMs?: number
  onProgress?(line: string): void
}

export interface SoakReport {
  readonly topology: TopologyName
  readonly seed: number
  readonly seconds: number
  readonly calls: Readonly<Record<string, number>>
  readonly answered: number
  readonly hits: number
  /** By status, or by the client's error if there was no status. */
  readonly failures: Readonly<Record<string, number>>
  /** Turns of conversations whose history was whole, as the gateway said. */
  readonly turns: number
  readonly faults: Readonly<Record<string, number>>
  readonly longestMs: number
  /** KiB a minute, of each gateway that was never away. */
  readonly memorySlopes: readonly number[]
  readonly violations: readonly string[]
}

const counts = { gateways: 4, decoders: 10 }
const capacity = 4
/** More than one of an organisation's keys asks for, and less than the limited one does. */
const requestsPerMinute = 120
const operator = { authorization: 'Bearer soak' }

/** Runs gateways, decoders and callers for a while with random faults, and then judges the record. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { ms, seed, topology: name, callers = 24, settledMs = 45_000, onProgress = () => {} } = options
  const random = new Random(seed)
  const topology = await startTopology(name)
  const journalDir = mkdtempSync(join(tmpdir(), 'evenkeel-soak-'))
  const gateways = members('gateway', counts.gateways, gatewayEnv(topology, journalDir))
  const decoders = members('decoder', counts.decoders, {})
  try {
    await Promise.all([...gateways, ...decoders].map((one) => one.start()))
    await registerAll(gateways, decoders)
    const calls: Call[] = []
    const faults: Fault[] = []
    const memory = new Map(gateways.map((one) => [one, [] as { s: number; kib: number }[]]))
    const beganAt = performance.now()
    const isOver = () => performance.now() - beganAt > ms
    const sampling = sampleMemory(memory, beganAt, isOver)
    const all = Array.from(
      { length: callers },
      (_, index) => new Caller(`talk-${index}`, gateways, new Random(seed + 1_000 + index), calls),
    )
    const asking = all.map((caller) => caller.askUntil(isOver))
    while (!isOver()) {
      await pause(random.between(1_000, 4_000))
      // No fault in the last seconds, so that the effects of the last one can show.
      if (performance.now() - beganAt > ms - 5_000) continue
      const fault = drawFault(topology, gateways, decoders, random)
      const happened = { name: fault.name, losesData: fault.losesData, at: performance.now(), to: Number.NaN }
      faults.push(happened)
      onProgress(
        `${Math.round((performance.now() - beganAt) / 1_000)} s: ${fault.name}; ${calls.length} calls`,
      )
      await fault.run(random)
      happened.to = performance.now()
    }
    await Promise.all([...asking, sampling])
    // After a calm time every conversation must contain all that was said in it.
    await pause(settledMs)
    await Promise.all(all.map((caller) => caller.takeTurn()))
    const history: History = {
      calls,
      gateways,
      decoders,
      faults,
      settledMs,
      requestsPerMinute,
      capacity,
      most: await Promise.all(decoders.map(async (one) => (await one.ask<{ most: number }>()).most)),
      heldAtTheEnd: await heldBy(gateways),
      memory: [...memory].filter(([one]) => one.absences.length === 0).map(([, samples]) => samples),
    }
    return reportOf(history, { name, seed, ms: performance.now() - beganAt })
  } finally {
    await Promise.all([...gateways, ...decoders].map((one) => one.close()))
    await topology.close()
    rmSync(journalDir, { recursive: true, force: true })
  }
}

function members(
  script: 'gateway' | 'decoder',
  count: number,
  env: Readonly<Record<string, string>>,
): Member[] {
  return Array.from({ length: count }, (_, index) => new Member(`${script}-${index + 1}`, script, env))
}

function gatewayEnv({ env }: Topology, journalDir: string): Readonly<Record<string, string>> {
  const keys = organisations.flatMap((one) =>
    Array.from({ length: keysEach }, (_, index) => `${one}-${index}=${one}`),
  )
  return {
    ...env,
    GATEWAY_API_KEYS: [...keys, 'limited=limited'].join(','),
    GATEWAY_JOURNAL_DIR: journalDir,
    GATEWAY_INSTANCES: String(counts.gateways),
    GATEWAY_NODE_HOSTS: '127.0.0.1',
    GATEWAY_NAMESPACE: 'soak',
    GATEWAY_OPERATOR_TOKEN: 'soak',
    GATEWAY_REQUESTS_PER_MINUTE: String(requestsPerMinute),
    GATEWAY_MAX_BODY_BYTES: '1000000',
  }
}

async function registerAll(gateways: readonly Member[], decoders: readonly Member[]): Promise<void> {
  const [first] = gateways
  for (const { name, url } of decoders) {
    const answer = await fetch(`${first?.url}/api/v1/register`, {
      method: 'POST',
      headers: operator,
      body: JSON.stringify({ id: name, endpoint: url, capacity }),
    })
    if (!answer.ok) throw new Error(`${name} was not registered: ${answer.status} ${await answer.text()}`)
  }
  for (const gateway of gateways) {
    while ((await partsOf(gateway)).nodes.length < decoders.length) await pause(25)
  }
}

interface Parts {
  readonly nodes: readonly { readonly inFlight: number }[]
}

async function partsOf({ url }: Member): Promise<Parts> {
  return (await (await fetch(`${url}/health/parts`, { headers: operator })).json()) as Parts
}

function drawFault(
  { faults }: Topology,
  gateways: readonly Member[],
  decoders: readonly Member[],
  random: Random,
): { readonly name: string; readonly losesData: boolean; run(random: Random): Promise<void> } {
  // One gateway and one decoder are never killed or stopped: their memory and counts cover the whole run.
  const [, ...mortalGateways] = gateways
  const [, ...mortalDecoders] = decoders
  const ofProcesses = [
    {
      name: 'a gateway is killed',
      run: (of: Random) => of.of(mortalGateways).dieFor(of.between(200, 2_000)),
    },
    { name: 'a gateway hangs', run: (of: Random) => of.of(mortalGateways).hangFor(of.between(200, 2_500)) },
    { name: 'a decoder dies', run: (of: Random) => of.of(mortalDecoders).dieFor(of.between(200, 3_000)) },
    { name: 'a decoder hangs', run: (of: Random) => of.of(mortalDecoders).hangFor(of.between(200, 3_000)) },
    {
      name: "a gateway's clock jumps",
      run: async (of: Random) => of.of(gateways).setClock(of.between(-60_000, 60_000)),
    },
  ].map((one) => ({ ...one, losesData: false }))
  return random.next() < 0.35 ? random.of(ofProcesses) : random.of(faults)
}

async function sampleMemory(
  memory: ReadonlyMap<Member, { s: number; kib: number }[]>,
  beganAt: number,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    for (const [{ pid }, samples] of memory) {
      const kib = pid === undefined ? undefined : residentKib(pid)
      if (kib !== undefined) samples.push({ s: (performance.now() - beganAt) / 1_000, kib })
    }
    await pause(1_000)
  }
}

function residentKib(pid: number): number | undefined {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    // It has just been killed.
    return undefined
  }
}

/** Requests in flight when there are no callers; abandoned work gets ten seconds to end. */
async function heldBy(gateways: readonly Member[]): Promise<number> {
  let held = Number.POSITIVE_INFINITY
  for (let tries = 0; tries < 100 && held > 0; tries++) {
    const parts = await Promise.all(gateways.map(partsOf))
    held = parts.flatMap(({ nodes }) => nodes).reduce((sum, { inFlight }) => sum + inFlight, 0)
    if (held > 0) await pause(100)
  }
  return held
}

function reportOf(
  history: History,
  { name, seed, ms }: { readonly name: TopologyName; readonly seed: number; readonly ms: number },
): SoakReport {
  const { calls, faults, memory } = history
  const ended = calls.filter(({ endedAt }) => !Number.isNaN(endedAt))
  return {
    topology: name,
    seed,
    seconds: Math.round(ms / 1_000),
    calls: countBy(calls.map(({ kind }) => kind)),
    answered: calls.filter(({ status }) => status === 200).length,
    hits: calls.filter(({ cache }) => cache === 'hit').length,
    failures: countBy(calls.flatMap(failureOf)),
    turns: calls.filter(({ kind, history }) => kind === 'turn' && history === 'whole').length,
    faults: countBy(faults.map((fault) => fault.name)),
    longestMs: Math.round(ended.reduce((most, { sentAt, endedAt }) => Math.max(most, endedAt - sentAt), 0)),
    memorySlopes: memory.map((samples) => Math.round(slopeOf(samples))),
    violations: violationsIn(history),
  }
}

function failureOf({ kind, status, error }: Call): string[] {
  if (error === undefined || error === 'left' || kind === 'bad' || kind === 'large') return []
  return [status === 0 ? error.slice(0, 60) : String(status)]
}

function countBy(names: readonly string[]): Record<string, number> {
  const counted: Record<string, number> = {}
  for (const name of names) counted[name] = (counted[name] ?? 0) + 1
  return counted
}
