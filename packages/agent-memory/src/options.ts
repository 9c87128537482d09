import { type Connection, InvalidOptionError, type TelemetryOptions } from '@evenkeel/core'
import {
  type Clock,
  type Duration,
  durationMs,
  option,
  resolveTelemetry,
  systemClock,
  wholeNumber,
} from '@evenkeel/core/kit'
import type { Message } from './messages/message.js'
import { estimateTokens, tokenCounter } from './messages/tokens.js'
import type { Embedder } from './recall/embedder.js'
import type { Limits } from './stores/limits.js'

/** Where an outage's writes wait; beyond a bound more are refused, never dropped. */
export type JournalOptions = {
  /** @default 10_000 */
  readonly maxMessages?: number | undefined
  /** @default 64 MiB */
  readonly maxBytes?: number | undefined
} & (
  | {
      /** In this process: what waits ends with it. @default 'memory' */
      readonly kind?: 'memory' | undefined
    }
  | {
      /** In a file too, synced before an append is acknowledged; a later process takes over what is left. */
      readonly kind: 'file'
      /** Made when it is missing. One folder may serve several processes. */
      readonly dir: string
    }
)

export interface AgentMemoryOptions {
  /** Where threads live; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /**
   * How long a thread lives after its last change.
   * @default CACHE_TTL_AGENT_MEMORY of the environment in seconds, else '30d'
   */
  readonly ttl?: Duration | undefined
  /** Tokens of a message. @default an estimate by all that it holds, other scripts, tool calls and images included */
  readonly countTokens?: ((message: Message) => number) | undefined
  /** Tokens of a text, as a model's own tokenizer counts them; in place of `countTokens`.
   * @example (text) => encode(text).length
   */
  readonly tokenizer?: ((text: string) => number) | undefined
  /** A message that is larger, as JSON, is refused. @default 16 MiB */
  readonly maxMessageBytes?: number | undefined
  readonly journal?: JournalOptions | undefined
  /**
   * A Redis that comes back may have lost what it acknowledged last (AOF everysec, failover, no persistence):
   * what this process wrote within this time before is sent again. 0 turns it off. @default '10s'
   */
  readonly healWindow?: Duration | undefined
  readonly limits?:
    | {
        /** Of a thread. @default 20_000 */
        readonly messages?: number | undefined
        /** Of a thread's messages together, as JSON. @default 256 MiB */
        readonly bytes?: number | undefined
        /** Of an owner; 0 for no limit. @default 0 */
        readonly threads?: number | undefined
      }
    | undefined
  /**
   * Threads that this process keeps: for outages, to read only what is new, and without `redis` all there
   * are. Beyond it the least recently used are forgotten. @default 1_000
   */
  readonly maxThreads?: number | undefined
  /** Of the threads that this process keeps. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /**
   * Tells those who follow a thread of each write at once, by a PUBLISH beside it; otherwise they look about
   * once a second. @default false
   */
  readonly feed?: boolean | undefined
  /** Makes vectors of texts, for recall: the host's, and never waited for by an append. */
  readonly embed?: Embedder | undefined
  /** Metrics for OpenTelemetry, to the host's meter provider or one given here. @default true */
  readonly telemetry?: boolean | TelemetryOptions | undefined
  readonly clock?: Clock | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly ttlMs: number
  readonly countTokens: (message: Message) => number
  readonly maxMessageBytes: number
  readonly journal: {
    readonly maxMessages: number
    readonly maxBytes: number
    readonly dir: string | undefined
  }
  readonly healWindowMs: number
  readonly limits: Limits
  readonly maxThreads: number
  readonly maxBytes: number
  readonly feed: boolean
  readonly embed: Embedder | undefined
  readonly telemetry: boolean | TelemetryOptions
  readonly clock: Clock
}

const optionNames = {
  redis: true,
  ttl: true,
  countTokens: true,
  tokenizer: true,
  maxMessageBytes: true,
  journal: true,
  healWindow: true,
  limits: true,
  maxThreads: true,
  maxBytes: true,
  feed: true,
  embed: true,
  telemetry: true,
  clock: true,
} as const

export function resolveOptions(options: AgentMemoryOptions): ResolvedOptions {
  option.members('', options, optionNames)
  option.members('limits', options.limits ?? {}, { messages: true, bytes: true, threads: true })
  const given: { [name in 'kind' | 'dir' | 'maxMessages' | 'maxBytes']?: unknown } = options.journal ?? {}
  option.members('journal', given, { kind: true, dir: true, maxMessages: true, maxBytes: true })
  if (options.embed !== undefined) {
    option.members('embed', options.embed, { model: true, embed: true, roles: true })
  }
  const { journal = {}, limits = {}, tokenizer } = options
  const countTokens =
    tokenizer === undefined
      ? option.fn('countTokens', options.countTokens ?? estimateTokens)
      : tokenCounter(option.fn('tokenizer', tokenizer))
  return {
    redis: options.redis,
    ttlMs: ttlOption(options.ttl, { variable: 'CACHE_TTL_AGENT_MEMORY', otherwise: '30d' }),
    countTokens,
    maxMessageBytes: wholeNumber('maxMessageBytes', options.maxMessageBytes ?? 16 << 20),
    journal: {
      maxMessages: wholeNumber('journal.maxMessages', journal.maxMessages ?? 10_000),
      maxBytes: wholeNumber('journal.maxBytes', journal.maxBytes ?? 64 << 20),
      dir: folderOf(journal),
    },
    healWindowMs: options.healWindow === 0 ? 0 : durationMs('healWindow', options.healWindow ?? '10s'),
    limits: {
      messages: wholeNumber('limits.messages', limits.messages ?? 20_000),
      bytes: wholeNumber('limits.bytes', limits.bytes ?? 256 << 20),
      threads: wholeNumber('limits.threads', limits.threads ?? 0, 0),
    },
    maxThreads: wholeNumber('maxThreads', options.maxThreads ?? 1_000),
    maxBytes: wholeNumber('maxBytes', options.maxBytes ?? 64 << 20),
    feed: option.flag('feed', options.feed ?? false),
    embed: options.embed,
    telemetry: resolveTelemetry(options.telemetry ?? true),
    clock: options.clock ?? systemClock,
  }
}

/** A ttl; when it is left out that of a variable of the environment, in seconds as operators know them. */
export function ttlOption(
  ttl: Duration | undefined,
  { variable, otherwise }: { readonly variable: string; readonly otherwise: Duration },
): number {
  const told = process.env[variable]
  if (ttl !== undefined || told === undefined || told === '') {
    return durationMs('ttl', ttl ?? otherwise, { minMs: 1_000 })
  }
  const seconds = Number(told)
  if (Number.isFinite(seconds) && seconds >= 1) return durationMs(variable, seconds * 1_000)
  throw new InvalidOptionError(variable, 'a number of seconds from 1', told)
}

function folderOf(journal: JournalOptions): string | undefined {
  const { kind = 'memory' } = journal
  if (journal.kind === 'file') {
    if (typeof journal.dir === 'string' && journal.dir !== '') return journal.dir
    throw new InvalidOptionError('journal.dir', 'a folder', journal.dir)
  }
  if (kind !== 'memory') throw new InvalidOptionError('journal.kind', "'memory' or 'file'", kind)
  return undefined
}
