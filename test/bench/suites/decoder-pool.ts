import { createDecoderPool, type DecoderPool, type StrategyName, strategyNames } from '@evenkeel/decoder-pool'
import { inProcess, interleave, round2, type Standing } from '../interleaved.js'
import type { Effort, Figure, Suite } from '../report.js'

const wanted = { tags: ['production'], adapter: 'en-de', region: 'eu' }
const blocks = Array.from({ length: 32 }, (_, index) => index)

async function poolOf(count: number, strategy: StrategyName): Promise<DecoderPool> {
  const pool = await createDecoderPool({ probe: false, strategy, region: 'eu' })
  for (let index = 0; index < count; index++) {
    await pool.register({
      endpoint: `http://node-${index}.internal:8000`,
      ...{ capacity: 100, tags: ['production', 'v2'], adapters: index % 2 === 0 ? ['en-de'] : [] },
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
    const thousand = bySize.at(effort.smoke ? -1 : -2)
    const [ten] = bySize
    return {
      suite: 'decoder-pool',
      comparisons: [
        { title: 'pick, with filters, by the size of the pool', standings: bySize },
        { title: 'pick, with filters, by strategy', standings: byStrategy },
      ],
      figures: [
        figure('picks a second from the larger pool', thousand?.perSecond, '/s', { atLeast: 1_000_000 }),
        figure('its time by that of ten nodes', (ten?.perSecond ?? 0) / (thousand?.perSecond ?? 1), 'x', {
          atMost: 1.3,
        }),
      ],
    }
  },
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
