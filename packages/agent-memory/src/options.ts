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
import { estimateMessageTokens, tokenCounter } from './messages/tokens.js'
import type { Embedder } from './recall/embedder.js'
import type { Limits } from './stores/limits.js'

/** Where writes wait during an outage. Beyond the limits further writes are refused; none is ever dropped. */
export type JournalOptions = {
  /** Maximum number of messages in the journal. @default 10_000 */
  readonly maxMessages?: number | undefined
  /** Maximum size of the journal. @default 64 MiB */
  readonly maxBytes?: number | undefined
} & (
  | {
      /** Keeps the journal in memory: writes still in it when the process ends are lost. @default 'memory' */
      readonly kind?: 'memory' | undefined
    }
  | {
      /** Also keeps it in a file, synced before an append resolves. A later process takes over what is left. */
      readonly kind: 'file'
      /** Folder of the journal's files, created if missing. Several processes may share it. */
      readonly dir: string
    }
)

export interface AgentMemoryOptions {
  /** Connection to the Redis that stores the threads. Without it, threads live only in this process. */
  readonly redis?: Connection | undefined
  /**
   * How long a thread lives after its last change.
   * @default CACHE_TTL_AGENT_MEMORY of the environment in seconds, else '30d'
   */
  readonly ttl?: Duration | undefined
  /** Tokens of a message. @default an estimate by all that it holds, other scripts, tool calls and images included */
  readonly countTokens?: ((message: Message) => number) | undefined
  /** Counts the tokens of a text with a model's own tokenizer; give it instead of `countTokens`.
   * @example (text) => encode(text).length
   */
  readonly tokenizer?: ((text: string) => number) | undefined
  /** A message whose JSON is larger is refused. @default 16 MiB */
  readonly maxMessageBytes?: number | undefined
  readonly journal?: JournalOptions | undefined
  /**
   * A Redis that returns from an outage may have lost its last acknowledged writes (AOF everysec, failover, no
   * persistence). This process sends its writes of this time before the outage again. 0 turns it off. @default '10s'
   */
  readonly healWindow?: Duration | undefined
  readonly limits?:
    | {
        /** Messages in a thread. @default 20_000 */
        readonly messages?: number | undefined
        /** Size of all messages of a thread, as JSON. @default 256 MiB */
        readonly bytes?: number | undefined
        /** Threads of an owner; 0 for no limit. @default 0 */
        readonly threads?: number | undefined
      }
    | undefined
  /**
   * Threads that this process keeps in memory: to read only what is new, for outages and, without `redis`, as the only
   * copy. Beyond the limit the least recently used threads are forgotten. @default 1_000
   */
  readonly maxThreads?: number | undefined
  /** Size of the threads that this process keeps in memory. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /**
   * Notifies subscribers of a thread of each write at once, with a PUBLISH for each write. Without it, subscribers look
   * for changes about once a second. @default false
   */
  readonly feed?: boolean | undefined
  /** Embedding model for `recall`. Appends never wait for it. */
  readonly embed?: Embedder | undefined
  /** OpenTelemetry metrics, through the host's meter provider or one given here. @default true */
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
      ? option.fn('countTokens', options.countTokens ?? estimateMessageTokens)
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
