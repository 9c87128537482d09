import { readTrace } from '../../../../examples/gateway/src/demo/trace.js'
import { drawsOf } from '../draws.js'
import { type Traffic, withSessions } from './arrival.js'

/** Real traffic from a file: `.csv` is Azure's, `.jsonl` is Mooncake's. */
export async function trafficOf(path: string, name: string, limit: number, seed: number): Promise<Traffic> {
  const rows = await readTrace(path, limit)
  if (rows.length === 0) throw new Error(`The trace for ${name} holds no requests`)
  const sorted = [...rows].sort((one, other) => one.atMs - other.atMs)
  const times = spread(
    sorted.map(({ atMs }) => atMs),
    seed,
  )
  const arrivals = sorted.map(({ promptTokens, answerTokens, blocks = [] }, index) => ({
    atMs: times[index] ?? 0,
    promptTokens: Math.max(1, promptTokens),
    answerTokens: Math.max(1, answerTokens),
    blocks,
  }))
  return { name, arrivals: withSessions(arrivals) }
}

/**
 * Spreads the requests of one tick of a trace's clock over the time until the next. Mooncake's clock ticks every three
 * seconds, so ten requests at the same instant are an effect of rounding.
 */
export function spread(times: readonly number[], seed: number): readonly number[] {
  const draws = drawsOf(seed, 'ticks')
  const counts = new Map<number, number>()
  for (const time of times) counts.set(time, (counts.get(time) ?? 0) + 1)
  const ticks = [...counts.keys()]
  const nextOf = new Map(ticks.map((tick, index) => [tick, ticks[index + 1] ?? tick]))
  return times
    .map((time) => {
      if (counts.get(time) === 1) return time
      return time + draws.next() * ((nextOf.get(time) ?? time) - time)
    })
    .sort((one, other) => one - other)
}
