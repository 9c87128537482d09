import {
  type Clock,
  type Connection,
  type Duration,
  InvalidOptionError,
  type MeterOptions,
} from '@evenkeel/core'
import { durationMs, option, systemClock, wholeNumber } from '@evenkeel/core/kit'
import { defaultWordLists, type WordLists } from './features/word-lists.js'
import type { SemanticIndex } from './index/port.js'
import { defaultJudge, type Embed, type Judge } from './judge.js'

export interface SemanticOptions {
  /** Connection to the Redis that stores the index and what is learned. Without it, both live only in this process. */
  readonly redis?: Connection | undefined
  /** Turns texts into vectors of one length: the provider's embeddings call, or a local model. */
  readonly embed: Embed
  /** Name and version of the embedding model: vectors of different models are never compared. */
  readonly model: string
  /** Maximum share of wrong answers among those served. Above 0, below 1/3. @default 0.02 */
  readonly maxErrorRate?: number | undefined
  /** Statistical confidence that the share stays within `maxErrorRate`. @default 0.95 */
  readonly confidence?: number | undefined
  /** Judges whether a stored answer is right, given the fresh one. @default compares texts, see `defaultJudge` */
  readonly same?: Judge | undefined
  /** Share of wrong answers that `same` accepts, as you measured it; tightens the bound. @default 0 */
  readonly judgeMissRate?: number | undefined
  /** A last check before an answer is served: `false` refuses it, and so does an error. */
  readonly verify?: ((look: Verification) => boolean | Promise<boolean>) | undefined
  /** Tenants never share answers. @default 'default' */
  readonly tenant?: string | undefined
  /** Users, or anything else within a tenant, that must not share answers. @default no scope */
  readonly scope?: string | undefined
  /** Share of possible hits that are audited instead: the provider is called, and answers compared. @default 0.05 */
  readonly auditRate?: number | undefined
  /** Learns and counts, but serves nothing. @default false */
  readonly shadow?: boolean | undefined
  /** Lexical guard. Without it, only similarity distinguishes other numbers and names. @default true */
  readonly guard?: boolean | undefined
  /**
   * Word lists that replace the guard's own, such as those of your language or field; the others stay. Instances with
   * different lists share nothing. @default `defaultWordLists`
   */
  readonly words?: Partial<WordLists> | undefined
  /** Metrics of look-ups. @default true */
  readonly telemetry?: boolean | MeterOptions | undefined
  /** Minimum cosine similarity of a candidate. @default 0.6 */
  readonly minSimilarity?: number | undefined
  /** Minimum share of common words (Jaccard, 0 to 1) that the guard accepts. @default 0.3 */
  readonly minOverlap?: number | undefined
  /** How long an answer can be found. @default '1h' */
  readonly ttl?: Duration | undefined
  /** Maximum number of questions stored for one context. @default 4_096 */
  readonly maxRows?: number | undefined
  /** Memory of the index in this process: its own rows, and copies of those in Redis. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /** Maximum length in characters; longer texts are not looked up by meaning. @default 4_000 */
  readonly maxTextLength?: number | undefined
  /** Your own index, tested with `testSemanticIndex`; its failures are misses. @default on `redis`, else in memory */
  readonly index?: SemanticIndex | undefined
  /** `'auto'` uses vector sets if the server has them, else exact search on copies. @default 'auto' */
  readonly search?: 'auto' | 'vector-set' | 'exact' | undefined
  /** Key of the word digests in the index, so that nobody can test words against them. @default the tenant */
  readonly secret?: string | Buffer | undefined
  /** A look-up that takes longer is a miss, so that a stuck embedder never blocks a caller. @default '2s' */
  readonly timeout?: Duration | undefined
  /** Maximum age of the learned policy in this process. @default '5s' */
  readonly refresh?: Duration | undefined
  readonly clock?: Clock | undefined
  /** Random numbers from 0 to 1, for tests. @default Math.random */
  readonly random?: (() => number) | undefined
}

/** A hit that is about to be served, as `verify` gets it. */
export interface Verification {
  readonly question: string
  readonly answer: unknown
  readonly similarity: number
  readonly confidence: number
}

type Defaulted = Omit<
  SemanticOptions,
  'redis' | 'index' | 'verify' | 'scope' | 'ttl' | 'refresh' | 'timeout' | 'words'
>

export type ResolvedSemanticOptions = { readonly [K in keyof Defaulted]-?: NonNullable<Defaulted[K]> } & {
  readonly redis: Connection | undefined
  readonly index: SemanticIndex | undefined
  readonly verify: SemanticOptions['verify']
  readonly words: WordLists
  readonly scope: string | undefined
  readonly ttlMs: number
  readonly refreshMs: number
  readonly timeoutMs: number
}

export function resolveSemanticOptions(options: SemanticOptions): ResolvedSemanticOptions {
  const { embed, model, tenant = 'default', scope, search = 'auto' } = options
  if (typeof embed !== 'function') throw new InvalidOptionError('embed', 'a function', embed)
  text('model', model)
  text('tenant', tenant)
  if (scope !== undefined) text('scope', scope)
  if (!['auto', 'vector-set', 'exact'].includes(search)) {
    throw new InvalidOptionError('search', "'auto', 'vector-set' or 'exact'", search)
  }
  if (options.same !== undefined && typeof options.same !== 'function') {
    throw new InvalidOptionError('same', 'a function', options.same)
  }
  return {
    redis: options.redis,
    index: options.index,
    embed,
    model,
    maxErrorRate: share('maxErrorRate', options.maxErrorRate ?? 0.02, 0.0001, 0.33),
    confidence: share('confidence', options.confidence ?? 0.95, 0.5, 0.9999),
    same: options.same ?? defaultJudge(embed),
    judgeMissRate: share('judgeMissRate', options.judgeMissRate ?? 0, 0, 0.9),
    verify: options.verify,
    tenant,
    scope,
    auditRate: share('auditRate', options.auditRate ?? 0.05, 0.001, 1),
    shadow: options.shadow ?? false,
    guard: options.guard ?? true,
    words: wordListsOf(options.words),
    telemetry: options.telemetry ?? true,
    minSimilarity: share('minSimilarity', options.minSimilarity ?? 0.6, -1, 1),
    minOverlap: share('minOverlap', options.minOverlap ?? 0.3, 0, 1),
    ttlMs: durationMs('ttl', options.ttl ?? '1h', { minMs: 1 }),
    maxRows: wholeNumber('maxRows', options.maxRows ?? 4_096),
    maxBytes: wholeNumber('maxBytes', options.maxBytes ?? 64 << 20),
    maxTextLength: wholeNumber('maxTextLength', options.maxTextLength ?? 4_000, 1, 100_000),
    search,
    secret: options.secret ?? tenant,
    timeoutMs: durationMs('timeout', options.timeout ?? '2s', { minMs: 1 }),
    refreshMs: durationMs('refresh', options.refresh ?? '5s', { minMs: 1 }),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
}

const wordListNames: Readonly<Record<keyof WordLists, true>> = {
  stopWords: true,
  negations: true,
  opposites: true,
  qualifiers: true,
  roles: true,
  articles: true,
}

function wordListsOf(own: Partial<WordLists> = {}): WordLists {
  option.members('words', own, wordListNames)
  const isWord = (word: unknown) => typeof word === 'string' && word !== '' && !/[\s\p{Lu}]/u.test(word)
  for (const [name, list] of Object.entries(own)) {
    const isOfGroups = name === 'opposites' || name === 'roles'
    const isList = (words: unknown) => Array.isArray(words) && words.every(isWord)
    if (isOfGroups ? Array.isArray(list) && list.every(isList) : isList(list)) continue
    throw new InvalidOptionError(
      `words.${name}`,
      isOfGroups ? 'lists of words in lower case' : 'words in lower case',
      list,
    )
  }
  return { ...defaultWordLists, ...own }
}

function text(field: string, value: unknown): void {
  if (typeof value !== 'string' || value === '' || value.length > 256) {
    throw new InvalidOptionError(field, 'text of 1 to 256 characters', value)
  }
}

function share(field: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw new InvalidOptionError(field, `a number from ${least} to ${most}`, value)
  }
  return value
}
