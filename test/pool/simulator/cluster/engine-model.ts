/** The speed and capacity of a node's engine. */
export interface EngineModel {
  /** Requests that it works on at once. */
  readonly maxRunning: number
  /** Requests that wait for that; more are refused. */
  readonly maxQueued: number
  /** Prompt tokens in one step, in addition to the answers' tokens (chunked prefill). */
  readonly chunkTokens: number
  readonly prefillMsPerToken: number
  /** The extra time of a prompt token for each token before it. */
  readonly attentionMsPerToken: number
  /** A step's time for reading the model's weights, however few answers are in progress. */
  readonly stepMs: number
  /** And for reading the KV cache, for each token of context of the answers in progress. */
  readonly stepMsPerContextToken: number
  /** Blocks that are kept for reuse, in addition to those that running requests need. */
  readonly cacheBlocks: number
  readonly blockTokens: number
}

/**
 * Eight A800 cards with a dense model of 70 billion parameters, the machine of Mooncake's measurements,
 * computed and not fitted: 140 GFLOP a token and 2.6 MFLOP more for each token before it, at half of 2.5
 * PFLOP/s; 140 GB of weights and 320 KB of keys and values a token, read at 70 % of 16 TB/s. A million tokens
 * are kept for reuse. Blocks are of 512 tokens, as the trace has them.
 */
export const eightCards: EngineModel = {
  maxRunning: 64,
  maxQueued: 256,
  chunkTokens: 2_048,
  prefillMsPerToken: 0.112,
  attentionMsPerToken: 2.1e-6,
  stepMs: 12.5,
  stepMsPerContextToken: 2.9e-5,
  cacheBlocks: 2_000,
  blockTokens: 512,
}

/** The engine's own work on a prompt of which the first `cached` tokens are known, in milliseconds. */
export function prefillMs(model: EngineModel, tokens: number, cached: number): number {
  const attention = (model.attentionMsPerToken / 2) * (tokens ** 2 - cached ** 2)
  return model.prefillMsPerToken * (tokens - cached) + attention
}

/** The prompt's part of a step that takes a whole chunk. */
export function chunkMs({ chunkTokens, prefillMsPerToken }: EngineModel): number {
  return chunkTokens * prefillMsPerToken
}
