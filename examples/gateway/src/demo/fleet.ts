import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Mortal } from './findings.js'
import { type Samples, scrape } from './metrics.js'
import { type Running, start } from './processes.js'
import { apiKeyOf, organisationOf, requestsPerMinute } from './workload.js'

/** How many requests a decoder serves at once. */
export const decoderSlots = 8
const operatorToken = randomUUID()
const operator = { authorization: `Bearer ${operatorToken}` }
export const mortalName = 'decoder-mortal'

interface Health {
  readonly redis: string
  readonly stores: Readonly<Record<string, string>>
  readonly nodes: readonly { readonly id: string; readonly healthy: boolean }[]
}

export async function healthOf(url: string): Promise<Health> {
  return (await (await fetch(`${url}/health/parts`, { headers: operator })).json()) as Health
}

/** Starts two normal decoders, a slow one, and one that dies in the middle of its answer number `diesAt`. */
export function startDecoders(diesAt: number): Promise<Running[]> {
  const decoder = (name: string, paceMs: number, ...more: string[]) =>
    start('decoder', name, ['--slots', `${decoderSlots}`, '--pace', `${paceMs}`, ...more])
  return Promise.all([
    decoder('decoder-1', 2),
    decoder('decoder-2', 2),
    decoder('decoder-slow', 8),
    decoder(mortalName, 2, '--dies-at', `${diesAt}`),
  ])
}

export function metricsOf(urls: readonly string[]): Promise<Samples> {
  return scrape(urls, operator)
}

export interface FleetOptions {
  readonly redisUrl: string | undefined
  readonly namespace: string
  readonly users: readonly string[]
}

/** Starts two gateways on Redis, or one without Redis. Resolves when they know the decoders. */
export async function startGateways(
  { redisUrl, namespace, users }: FleetOptions,
  decoders: readonly Running[],
): Promise<Running[]> {
  const count = redisUrl === undefined ? 1 : 2
  const env = {
    REDIS_URL: redisUrl ?? '',
    GATEWAY_NAMESPACE: namespace,
    GATEWAY_INSTANCES: `${count}`,
    GATEWAY_API_KEYS: users.map((user) => `${apiKeyOf(user)}=${organisationOf(user)}`).join(','),
    GATEWAY_REQUESTS_PER_MINUTE: `${requestsPerMinute}`,
    GATEWAY_OPERATOR_TOKEN: operatorToken,
    GATEWAY_NODE_HOSTS: '127.0.0.1',
  }
  const gateways = await Promise.all(
    Array.from({ length: count }, (_, index) => start('gateway', `gateway-${index + 1}`, [], env)),
  )
  const [first] = gateways
  for (const { name, url } of decoders) {
    const node = { id: name, endpoint: url, capacity: decoderSlots }
    await fetch(`${first?.url}/api/v1/register`, {
      method: 'POST',
      headers: operator,
      body: JSON.stringify(node),
    })
  }
  await Promise.all(gateways.map(({ name, url }) => knowsNodes(name, url, decoders.length)))
  return gateways
}

async function knowsNodes(name: string, url: string, count: number): Promise<void> {
  for (const until = performance.now() + 10_000; performance.now() < until; ) {
    const { nodes } = await healthOf(url)
    if (nodes.length === count) return
    await pause(25)
  }
  const { redis } = await healthOf(url)
  throw new Error(`${name} does not know the decoders; its Redis is ${redis}`)
}

/** Reports on the decoder that dies, after waiting up to 3 s for the gateways' probes to notice its death. */
export async function fateOfMortal(
  decoders: readonly Running[],
  gateways: readonly Running[],
): Promise<Mortal> {
  const decoder = decoders.find(({ name }) => name === mortalName)
  const died = decoder?.child.exitCode !== null
  let servingIn = gateways.length
  for (const until = performance.now() + 3_000; died && servingIn > 0 && performance.now() < until; ) {
    const healths = await Promise.all(gateways.map(({ url }) => healthOf(url)))
    servingIn = healths.filter(({ nodes }) =>
      nodes.some(({ id, healthy }) => id === mortalName && healthy),
    ).length
    if (servingIn > 0) await pause(50)
  }
  return { name: mortalName, died, servingIn }
}
