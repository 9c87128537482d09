import { type Connection, connect, defineScript } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool, type StrategyName, strategyNames } from '@evenkeel/decoder-pool'
import { startRedis } from '@evenkeel/test-servers'
import { closedLoop, inProcess, interleave, round2, type Standing } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Effort, Figure, Suite } from '../report.js'

const wanted = { tags: ['production'], adapter: 'en-de', region: 'eu' }
const blocks = Array.from({ length: 32 }, (_, index) => index)

async function poolOf(count: number, strategy: StrategyName): Promise<DecoderPool> {
  const pool = await createDecoderPool({ probe: false, strategy, region: 'eu' })
  for (let index = 0; index < count; index++) {
    await pool.register({
      endpoint: `http://node-${index}.internal:8000`,
      capacity: 100,
      tags: ['production', 'v2'],
      adapters: index % 2 === 0 ? ['en-de'] : [],
      region: index % 3 === 0 ? 'us' : 'eu',
    })
  }
  return pool
}

/** Choices from pools of several sizes: synchronous, from memory, with filters by region, tags and adapter. */
export const decoderPool: Suite = {
  name: 'decoder-pool',
  async run(effort) {
    const short = { rounds: effort.rounds, roundMs: Math.min(effort.roundMs, 200) }
    const sizes = effort.smoke ? [10, 100] : [10, 100, 1_000, 5_000]
    const bySize = await compared(
      sizes.map((size) => ({ name: `least-loaded, ${size} nodes`, size, strategy: 'least-loaded' as const })),
      short,
    )
    const size = effort.smoke ? 100 : 1_000
    const byStrategy = await compared(
      strategyNames.map((strategy) => ({ name: `${strategy}, ${size} nodes`, size, strategy })),
      short,
    )
    const { standings: bySlots, seen } = await onRedis(effort)
    const thousand = bySize.at(effort.smoke ? -1 : -2)
    const [ten] = bySize
    const largest = bySize.at(-1)
    return {
      suite: 'decoder-pool',
      comparisons: [
        { title: 'pick, with filters, by the size of the pool', standings: bySize },
        { title: 'pick, with filters, by strategy', standings: byStrategy },
        {
          title: 'a slot counted by all coordinators and given back, 64 concurrent, 20 nodes',
          standings: bySlots,
        },
      ],
      figures: [
        figure('picks a second from the larger pool', thousand?.perSecond, '/s', { atLeast: 1_000_000 }),
        figure(
          `time of a pick from ${sizes.at(-1)} nodes by that from ten`,
          (ten?.perSecond ?? 0) / (largest?.perSecond ?? 1),
          'x',
          { atMost: 1.2 },
        ),
        figure('global acquire and release, 64 concurrent, by two bare EVALSHA', bySlots[1]?.ratio, 'x', {
          atLeast: 0.8,
        }),
        figure('change on one coordinator seen on another, p99', seen, 'ms', { atMost: 50 }),
      ],
    }
  },
}

/** The simplest counter of requests in flight, to compare a lease with: one is added, and one subtracted. */
const count = defineScript({
  name: 'bench.count',
  lua: "return redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])",
})

async function onRedis(effort: Effort): Promise<{ standings: readonly Standing[]; seen: number }> {
  const server = await startRedis()
  pinServer(server.pid)
  const connections: Connection[] = []
  const pools: DecoderPool[] = []
  const coordinator = async () => {
    const redis = await connect({ url: server.url })
    const pool = await createDecoderPool({ redis, probe: false, region: 'eu' })
    connections.push(redis)
    pools.push(pool)
    return { redis, pool }
  }
  try {
    const { redis, pool } = await coordinator()
    const other = (await coordinator()).pool
    for (let index = 0; index < 20; index++) {
      await pool.register({ endpoint: `http://node-${index}.internal:8000`, capacity: 100 })
    }
    let node = 0
    const standings = await interleave(
      [
        closedLoop('two bare EVALSHA', 64, async () => {
          const field = `node-${node++ % 20}`
          await redis.run(count, ['bench:counters'], [field, '1'])
          await redis.run(count, ['bench:counters'], [field, '-1'])
        }),
        closedLoop('acquire and release', 64, async () => {
          const lease = await pool.acquire({ timeout: '1s' })
          lease.release({ ok: true })
        }),
      ],
      effort,
    )
    return { standings, seen: await propagation(pool, other, effort.smoke ? 20 : 300) }
  } finally {
    for (const pool of pools) await pool.close()
    for (const redis of connections) await redis.close()
    await server.close()
  }
}

/** The p99 in milliseconds from the call of `register` on one coordinator to the event on the other. */
async function propagation(one: DecoderPool, other: DecoderPool, changes: number): Promise<number> {
  const took: number[] = []
  for (let index = 0; index < changes; index++) {
    const seen = new Promise<void>((resolve) => {
      const stop = other.on('change', () => {
        stop()
        resolve()
      })
    })
    const startedAt = performance.now()
    await one.register({ endpoint: 'http://changing.internal:8000', capacity: index + 1 })
    await seen
    took.push(performance.now() - startedAt)
  }
  return took.sort((a, b) => a - b)[Math.ceil(took.length * 0.99) - 1] ?? Number.NaN
}

async function compared(
  contenders: readonly { readonly name: string; readonly size: number; readonly strategy: StrategyName }[],
  effort: Pick<Effort, 'rounds' | 'roundMs'>,
): Promise<readonly Standing[]> {
  const pools = await Promise.all(contenders.map(({ size, strategy }) => poolOf(size, strategy)))
  const standings = await interleave(
    contenders.map(({ name, strategy }, index) => {
      const pool = pools[index]
      const own = strategy === 'prefix' ? { ...wanted, prefix: blocks } : { ...wanted, sessionKey: 'user:42' }
      return inProcess(name, () => {
        pool?.pick(own)
      })
    }),
    effort,
  )
  for (const pool of pools) await pool.close()
  return standings
}

function figure(name: string, value = Number.NaN, unit: string, bound?: Figure['bound']): Figure {
  return { name, value: round2(value), unit, ...(bound && { bound }) }
}
