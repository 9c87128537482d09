import { drawsOf } from '../draws.js'
import type { Arrival, Traffic } from './arrival.js'

const blockTokens = 512
/** The system's own prompt, which begins every request. */
const systemBlock = 0

/**
 * Synthetic conversations in the shape of Mooncake's trace: a common first block, prompts with a long tail, some 40 %
 * of requests that continue a conversation, answers of some hundred tokens. For use without a trace.
 */
export function conversations(requests: number, seed: number): Traffic {
  const draws = drawsOf(seed, 'conversations')
  const arrivals: Arrival[] = []
  let nextBlock = systemBlock + 1
  let startsAt = 0
  for (let conversation = 0; arrivals.length < requests * 1.5; conversation++) {
    startsAt += draws.exponential(1_000)
    let atMs = startsAt
    let blocks: readonly number[] = [systemBlock]
    let promptTokens = Math.min(120_000, draws.logNormal(5_000, 1.2))
    do {
      const count = Math.ceil(promptTokens / blockTokens)
      blocks = [...blocks, ...Array.from({ length: Math.max(0, count - blocks.length) }, () => nextBlock++)]
      const answerTokens = Math.max(1, Math.round(Math.min(2_000, draws.logNormal(300, 0.7))))
      const whole = Math.max(1, Math.round(promptTokens))
      arrivals.push({
        atMs,
        promptTokens: whole,
        answerTokens,
        blocks,
        session: `conversation-${conversation}`,
      })
      // The last, partial block becomes another one when the next turn is added.
      blocks = blocks.slice(0, Math.max(1, Math.floor(promptTokens / blockTokens)))
      promptTokens += answerTokens + draws.logNormal(200, 1)
      atMs += draws.exponential(60_000)
    } while (draws.next() < 0.4)
  }
  const sorted = arrivals.sort((one, other) => one.atMs - other.atMs).slice(0, requests)
  return { name: 'made by rule', arrivals: sorted }
}

/** Requests of an M/M/1 queue: Poisson arrivals, exponential prompts of this mean, answers of one token. */
export function poisson(requests: number, perSecond: number, promptTokens: number, seed: number): Traffic {
  const draws = drawsOf(seed, 'poisson')
  let atMs = 0
  const arrivals = Array.from({ length: requests }, () => {
    atMs += draws.exponential(1_000 / perSecond)
    return {
      atMs,
      promptTokens: draws.exponential(promptTokens),
      answerTokens: 1,
      blocks: [],
      session: undefined,
    }
  })
  return { name: 'Poisson', arrivals }
}
