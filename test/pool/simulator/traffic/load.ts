import { chunkMs, type EngineModel, prefillMs } from '../cluster/engine-model.js'
import type { Arrival } from './arrival.js'

/**
 * Requests of this kind that one node answers in a second if it is never idle and nothing is reused: in the long
 * run either prompts are worked on all the time, or all places are taken.
 */
export function mostPerSecond(model: EngineModel, arrivals: readonly Arrival[]): number {
  const mean = (of: (arrival: Arrival) => number) =>
    arrivals.reduce((sum, arrival) => sum + of(arrival), 0) / Math.max(1, arrivals.length)
  const promptMs = mean(({ promptTokens }) => prefillMs(model, promptTokens, 0))
  const tokens = mean(({ answerTokens }) => Math.max(0, answerTokens - 1))
  const contextTokens = mean(
    ({ promptTokens, answerTokens }) => (answerTokens - 1) * (promptTokens + answerTokens / 2),
  )
  const chunk = chunkMs(model)
  // What a request takes of the node: its prompt, its share of the steps' own time, its context in each step.
  const ofItself = promptMs + model.stepMsPerContextToken * contextTokens
  const byPrompts = 1 / (ofItself + (promptMs / chunk) * model.stepMs)
  // With all places taken, their answers share the steps.
  const byPlaces =
    tokens === 0 ? Number.POSITIVE_INFINITY : 1 / (ofItself + (tokens / model.maxRunning) * model.stepMs)
  return 1_000 * Math.min(byPrompts, byPlaces)
}

/** The same requests in the same order, so much faster or slower that they are this share of what the nodes can do. */
export function atLoad(
  arrivals: readonly Arrival[],
  load: number,
  nodes: number,
  model: EngineModel,
): readonly Arrival[] {
  const first = arrivals[0]?.atMs ?? 0
  const spanMs = Math.max(1, (arrivals.at(-1)?.atMs ?? 0) - first)
  const wantedMs = (1_000 * arrivals.length) / (load * nodes * mostPerSecond(model, arrivals))
  return arrivals.map((arrival) => ({ ...arrival, atMs: ((arrival.atMs - first) * wantedMs) / spanMs }))
}
