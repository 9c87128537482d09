import { chunks, freshMessages, whole } from '../gateway/completions.js'
import { askAlone, leavingCallers, storm, watchHealth } from '../gateway/crowd.js'
import { type GatewayProcess, startEvenkeel, startPassThrough, startPortkey } from '../gateway/processes.js'
import { startInstantProvider } from '../instant-provider.js'
import { round2 } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Effort, Figure, Suite } from '../report.js'

const own = 'evenkeel, in process'
const body = () => JSON.stringify({ model: 'gpt-4o', max_tokens: 500, messages: freshMessages() })

/** Gateways beyond their capacity: callers that leave and call again, and twice the load. */
export const gatewayOverload: Suite = {
  name: 'gateway-overload',
  async run(effort) {
    pinServer(process.pid)
    const provider = await startInstantProvider(whole, chunks)
    const upstream = provider.url.replace(/\/v1$/, '')
    const starts: readonly [() => Promise<GatewayProcess>, string][] = [
      [() => startPassThrough(upstream), '/health'],
      [() => startPortkey(upstream), '/'],
      [() => startEvenkeel(own, upstream, { GATEWAY_MAX_WAIT_MS: '100' }), '/health'],
    ]
    const figures: Figure[] = []
    for (const [start, healthPath] of starts) {
      // A new process for each scenario: what one leaves in the kernel's queue must not burden the next.
      for (const scenario of [leaving, twice]) {
        const gateway = await start()
        try {
          await capacityOf(gateway, effort.smoke ? 200 : 2_000)
          figures.push(...(await scenario(gateway, healthPath, effort)))
        } finally {
          await gateway.close()
        }
      }
    }
    await provider.close()
    return { suite: 'gateway-overload', comparisons: [], figures }
  },
}

async function leaving(gateway: GatewayProcess, path: string, { smoke }: Effort): Promise<Figure[]> {
  const health = watchHealth(gateway, path)
  const { left } = await leavingCallers(gateway, {
    count: 16,
    withinMs: 60,
    forMs: smoke ? 500 : 10_000,
    body,
  })
  const worst = await health.stop()
  return [
    figure(gateway, '16 callers that leave within 60 ms: worst look at its health', worst, 'ms', {
      atMost: 500,
    }),
    figure(gateway, 'of them left', left, 'calls'),
  ]
}

/** Measures the capacity for new connections, then compares the goodput at twice that load with it. */
async function twice(gateway: GatewayProcess, path: string, { smoke }: Effort): Promise<Figure[]> {
  const forMs = smoke ? 500 : 5_000
  const patient = { patienceMs: 1_000, retries: 2, body }
  const capacity = await capacityOf(gateway, smoke ? 500 : 3_000)
  const health = watchHealth(gateway, path)
  const { goodput, shed } = await storm(gateway, { ...patient, perSecond: 2 * capacity, forMs })
  const worst = await health.stop()
  const began = performance.now()
  let backMs = Number.NaN
  while (performance.now() - began < 10_000) {
    const answer = await askAlone(gateway, {
      path: '/v1/chat/completions',
      body: body(),
      leaveAfterMs: 5_000,
    })
    if (answer?.status === 200 && answer.ms < 100) {
      backMs = performance.now() - began
      break
    }
  }
  return [
    figure(gateway, 'capacity, a new connection for each request', capacity, '/s'),
    figure(gateway, 'twice that: goodput by capacity', goodput / capacity, 'x', { atLeast: 0.8 }),
    figure(gateway, 'answered with 503', shed, 'calls'),
    figure(gateway, 'worst look at its health meanwhile', worst, 'ms', { atMost: 500 }),
    figure(gateway, 'back to normal after the last caller', backMs, 'ms', { atMost: 1_000 }),
  ]
}

async function capacityOf(gateway: GatewayProcess, forMs: number): Promise<number> {
  const until = performance.now() + forMs
  let answered = 0
  const caller = async () => {
    while (performance.now() < until) {
      const answer = await askAlone(gateway, {
        path: '/v1/chat/completions',
        body: body(),
        leaveAfterMs: 10_000,
      })
      if (answer?.status === 200) answered++
    }
  }
  await Promise.all(Array.from({ length: 16 }, caller))
  return (answered * 1_000) / forMs
}

/** Peers are measured too, but only our gateway has bounds. */
function figure(
  { name }: GatewayProcess,
  what: string,
  value: number,
  unit: string,
  bound?: Figure['bound'],
): Figure {
  return {
    name: `${name}: ${what}`,
    value: round2(value),
    unit,
    ...(bound !== undefined && name === own && { bound }),
  }
}
