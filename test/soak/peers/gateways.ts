import { setTimeout as pause } from 'node:timers/promises'
import { claimPort } from '@evenkeel/test-servers'
import { Member } from '../fleet.js'
import { Random } from '../random.js'
import { type Call, Caller, type Kind } from '../traffic.js'
import { percentile, type Standing } from './standing.js'

const decoderCount = 10
const capacity = 4
const callers = 24
/** Requests that both gateways support: no conversations, and no bodies beyond a limit. */
const kinds: readonly Kind[] = ['json', 'json', 'json', 'stream', 'stream', 'embedding', 'leaving', 'slow']
const operator = { authorization: 'Bearer peers' }

interface Rival {
  readonly name: string
  start(decoders: readonly Member[]): Promise<Member>
}

const rivals: readonly Rival[] = [
  { name: 'evenkeel, examples/gateway', start: startEvenkeel },
  { name: 'Portkey 1.15, fallback over two rounds of load balancing, retries', start: startPortkey },
]

async function startEvenkeel(decoders: readonly Member[]): Promise<Member> {
  const gateway = new Member('evenkeel', 'gateway', {
    GATEWAY_API_KEYS: '*',
    GATEWAY_OPERATOR_TOKEN: 'peers',
    GATEWAY_NODE_HOSTS: '127.0.0.1',
    GATEWAY_REQUESTS_PER_MINUTE: '1000000000',
    GATEWAY_TOKENS_PER_MINUTE: '1000000000000',
  })
  await gateway.start()
  for (const { name, url } of decoders) {
    const body = JSON.stringify({ id: name, endpoint: url, capacity })
    const answer = await fetch(`${gateway.url}/api/v1/register`, { method: 'POST', headers: operator, body })
    if (!answer.ok) throw new Error(`${name} was not registered: ${answer.status}`)
  }
  return gateway
}

async function startPortkey(decoders: readonly Member[]): Promise<Member> {
  const nodes = decoders.map(({ url }) => ({
    provider: 'openai',
    api_key: 'none',
    custom_host: `${url}/v1`,
    weight: 1,
  }))
  const round = { strategy: { mode: 'loadbalance' }, targets: nodes }
  const config = {
    strategy: { mode: 'fallback' },
    targets: [round, round],
    retry: { attempts: 2 },
    request_timeout: 10_000,
  }
  const gateway = new Member(
    'portkey',
    'portkey',
    { TRUSTED_CUSTOM_HOSTS: '127.0.0.1' },
    { 'x-portkey-config': JSON.stringify(config) },
  )
  gateway.port = await claimPort()
  await gateway.start()
  return gateway
}

/** The same traffic through each gateway, each with decoders of its own that die and hang at the same times. */
export async function compareGateways(ms: number, seed: number): Promise<readonly Standing[]> {
  const random = new Random(seed)
  const running: { rival: Rival; gateway: Member; decoders: Member[]; calls: Call[] }[] = []
  try {
    for (const rival of rivals) {
      const decoders = Array.from(
        { length: decoderCount },
        (_, n) => new Member(`decoder-${n}`, 'decoder', {}),
      )
      await Promise.all(decoders.map((decoder) => decoder.start()))
      running.push({ rival, gateway: await rival.start(decoders), decoders, calls: [] })
    }
    const endsAt = performance.now() + ms
    const isOver = () => performance.now() > endsAt
    const asking = running.flatMap(({ gateway, calls }) =>
      Array.from({ length: callers }, (_, index) =>
        new Caller(`caller-${index}`, [gateway], new Random(seed + index), calls, kinds).askUntil(isOver),
      ),
    )
    while (performance.now() < endsAt - 5_000) {
      await pause(random.between(500, 2_000))
      // The first decoder is spared: a process counts its own maximum, which a restart would reset.
      const which = 1 + random.below(decoderCount - 1)
      const lasts = random.between(200, 3_000)
      const dies = random.next() < 0.5
      await Promise.all(
        running.map(async ({ decoders }) => {
          const decoder = decoders[which]
          await (dies ? decoder?.dieFor(lasts) : decoder?.hangFor(lasts))
        }),
      )
    }
    await Promise.all(asking)
    return await Promise.all(running.map(({ rival, decoders, calls }) => standingOf(rival, decoders, calls)))
  } finally {
    await Promise.all(
      running.flatMap(({ gateway, decoders }) => [gateway, ...decoders].map((one) => one.close())),
    )
  }
}

async function standingOf(
  rival: Rival,
  decoders: readonly Member[],
  calls: readonly Call[],
): Promise<Standing> {
  const stayed = calls.filter(({ kind, error }) => kind !== 'leaving' && error !== 'left')
  const latencies = stayed.map(({ sentAt, endedAt }) => endedAt - sentAt)
  const most = await Promise.all(decoders.map(async (one) => (await one.ask<{ most: number }>()).most))
  return {
    name: rival.name,
    calls: stayed.length,
    failed: stayed.filter(({ error }) => error !== undefined).length,
    wrong: calls.filter(({ text, expected }) => text !== undefined && text !== expected).length,
    p99Ms: percentile(latencies, 0.99),
    longestMs: percentile(latencies, 1),
    extra: Math.max(...most),
  }
}
