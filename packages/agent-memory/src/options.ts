import {
  type Clock,
  type Connection,
  type Duration,
  durationMs,
  InvalidOptionError,
  systemClock,
  wholeNumber,
} from '@evenkeel/core'
import type { Message } from './message.js'

export interface AgentMemoryOptions {
  /** Where threads live; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** How long a thread lives after its last append. @default '30d' */
  readonly ttl?: Duration | undefined
  /** Tokens of a message. @default a quarter of its characters, rounded up */
  readonly countTokens?: ((message: Message) => number) | undefined
  /** A message that is larger, as JSON, is refused. @default 256 KiB */
  readonly maxMessageBytes?: number | undefined
  /** What an outage may journal in this process; beyond it appends are refused, never dropped. */
  readonly journal?:
    | {
        /** @default 10_000 */
        readonly maxMessages?: number | undefined
        /** @default 16 MiB */
        readonly maxBytes?: number | undefined
      }
    | undefined
  /**
   * Threads that this process keeps: for outages, and without `redis` all there are. Beyond it the least
   * recently used are forgotten. @default 1_000
   */
  readonly maxThreads?: number | undefined
  /** Of the threads that this process keeps. @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly ttlMs: number
  readonly countTokens: (message: Message) => number
  readonly maxMessageBytes: number
  readonly maxJournalMessages: number
  readonly maxJournalBytes: number
  readonly maxThreads: number
  readonly maxBytes: number
  readonly clock: Clock
}

export function resolveOptions(options: AgentMemoryOptions): ResolvedOptions {
  const { journal = {}, countTokens = estimateTokens } = options
  if (typeof countTokens !== 'function')
    throw new InvalidOptionError('countTokens', 'a function', countTokens)
  return {
    redis: options.redis,
    ttlMs: durationMs('ttl', options.ttl ?? '30d', { minMs: 1_000 }),
    countTokens,
    maxMessageBytes: wholeNumber('maxMessageBytes', options.maxMessageBytes ?? 256 << 10),
    maxJournalMessages: wholeNumber('journal.maxMessages', journal.maxMessages ?? 10_000),
    maxJournalBytes: wholeNumber('journal.maxBytes', journal.maxBytes ?? 16 << 20),
    maxThreads: wholeNumber('maxThreads', options.maxThreads ?? 1_000),
    maxBytes: wholeNumber('maxBytes', options.maxBytes ?? 64 << 20),
    clock: options.clock ?? systemClock,
  }
}

function estimateTokens(message: Message): number {
  const { content } = message
  return Math.ceil((typeof content === 'string' ? content : JSON.stringify(content ?? '')).length / 4)
}
