import { AsyncLocalStorage } from 'node:async_hooks'
import { type Duration, InvalidInputError } from '@evenkeel/core'
import { checkSubject, durationMs, input } from '@evenkeel/core/kit'

/** Options of one call, in place of the cache's own. */
export interface CallOptions {
  /** `false`: the call is neither looked up nor stored, nor shared with equal calls. @default true */
  readonly useCache?: boolean | undefined
  /** How long the answer of this call is a hit. @default the cache's */
  readonly ttl?: Duration | undefined
  /** Calls the provider even if there is an entry, and replaces the entry in one step. @default false */
  readonly refresh?: boolean | undefined
  /** Tags for `invalidate()`: at most 32, of 1 to 256 characters each. @default none */
  readonly tags?: readonly string[] | undefined
  /** Tenant whose entries are used. @default the cache's */
  readonly tenant?: string | undefined
  /** Maximum age of a stored answer; an older one is no hit for this call. */
  readonly maxAge?: Duration | undefined
  readonly staleWhileRevalidate?: Duration | undefined
  /** Never calls the provider: a miss is a 504 over HTTP, and `undefined` elsewhere. @default false */
  readonly onlyIfCached?: boolean | undefined
}

/** {@link CallOptions}, checked, over the cache's own. */
export interface Policy {
  readonly useCache: boolean
  readonly ttlMs: number
  readonly refresh: boolean
  readonly tags: readonly string[]
  readonly tenant: string
  readonly maxAgeMs: number
  readonly staleWhileRevalidateMs: number
  /** How long after its ttl an answer may be served while the provider fails. */
  readonly graceMs: number
  readonly earlyRefresh: number
  readonly onlyIfCached: boolean
}

const maxTags = 32
const maxName = 256

/** The options of calls that may call the provider. */
export const callingOptionNames: Readonly<Record<Exclude<keyof CallOptions, 'onlyIfCached'>, true>> = {
  useCache: true,
  ttl: true,
  refresh: true,
  tags: true,
  tenant: true,
  maxAge: true,
  staleWhileRevalidate: true,
}

const names: Readonly<Record<keyof CallOptions, true>> = { ...callingOptionNames, onlyIfCached: true }

/** Refuses unknown options: a misspelt `tenant` must not be ignored. @throws INVALID_INPUT */
export function checkCallOptions(options: CallOptions): CallOptions {
  return input.members('', options, names)
}

/** @throws INVALID_INPUT that names the field, before Redis or the provider is called */
export function policyOf(base: Policy, options: CallOptions): Policy {
  const { useCache, ttl, refresh, tags, tenant, maxAge, staleWhileRevalidate, onlyIfCached } = options
  return {
    ...base,
    useCache: flag('useCache', useCache, base.useCache),
    refresh: flag('refresh', refresh, base.refresh),
    onlyIfCached: flag('onlyIfCached', onlyIfCached, base.onlyIfCached),
    ttlMs: ttl === undefined ? base.ttlMs : durationMs('ttl', ttl, { minMs: 1 }),
    maxAgeMs: maxAge === undefined ? base.maxAgeMs : durationMs('maxAge', maxAge),
    staleWhileRevalidateMs:
      staleWhileRevalidate === undefined
        ? base.staleWhileRevalidateMs
        : durationMs('staleWhileRevalidate', staleWhileRevalidate),
    tags: tags === undefined ? base.tags : checkTags(tags),
    tenant: tenant === undefined ? base.tenant : checkSubject('tenant', tenant, maxName),
  }
}

export function checkTags(tags: unknown): readonly string[] {
  if (!Array.isArray(tags) || tags.length > maxTags) {
    throw new InvalidInputError('tags', `a list of at most ${maxTags}`, tags)
  }
  return [...new Set(tags.map((tag: unknown) => checkSubject('tags', tag, maxName)))].sort()
}

function flag(field: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw new InvalidInputError(field, 'true or false', value)
  return value
}

/** Options for all calls within a function, however deep, for SDKs that cannot pass them on. */
export class CallScope {
  readonly #storage = new AsyncLocalStorage<CallOptions>()
  /** Skips the look-up until a scope was first used, since it is on the path of every hit. */
  #used = false

  run<T>(options: CallOptions, within: () => T): T {
    checkCallOptions(options)
    this.#used = true
    return this.#storage.run({ ...this.#storage.getStore(), ...options }, within)
  }

  /** Runs outside of every scope: for background work that belongs to no call. */
  leave<T>(within: () => T): T {
    return this.#used ? this.#storage.exit(within) : within()
  }

  get current(): CallOptions | undefined {
    return this.#used ? this.#storage.getStore() : undefined
  }
}

/**
 * Reads options from a request's headers: `cache-control` with `no-store`, `no-cache`, `max-age`, `only-if-cached`
 * and `stale-while-revalidate` (RFC 9111, RFC 5861), `x-evenkeel-ttl`, and `x-evenkeel-tags` (separated by commas);
 * never a tenant. Times are seconds in `cache-control`, and durations such as `10m`, or milliseconds, in the other
 * headers.
 */
export function optionsInHeaders(headers: ReadonlyMap<string, string>): CallOptions {
  const directives = directivesOf(headers.get('cache-control'))
  const ttl = headers.get('x-evenkeel-ttl')
  const tags = headers.get('x-evenkeel-tags')
  const seconds = (name: string) => {
    const value = Number(directives.get(name) || Number.NaN)
    return Number.isFinite(value) && value >= 0 ? value * 1_000 : undefined
  }
  return {
    ...(directives.has('no-store') ? { useCache: false } : {}),
    ...(directives.has('no-cache') ? { refresh: true } : {}),
    ...(directives.has('only-if-cached') ? { onlyIfCached: true } : {}),
    ...defined('maxAge', seconds('max-age')),
    ...defined('staleWhileRevalidate', seconds('stale-while-revalidate')),
    ...defined('ttl', ttl === undefined ? undefined : durationIn(ttl)),
    ...defined(
      'tags',
      tags === undefined
        ? undefined
        : tags
            .split(',')
            .map((tag) => tag.trim())
            .filter(Boolean),
    ),
  }
}

function directivesOf(header: string | undefined): ReadonlyMap<string, string> {
  const pairs = (header ?? '').split(',').map((directive): [string, string] => {
    const [name = '', value = ''] = directive.split('=')
    return [name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, '$1')]
  })
  return new Map(pairs)
}

function durationIn(text: string): Duration {
  return /^\d+$/.test(text) ? Number(text) : (text as Duration)
}

function defined<K extends string, V>(name: K, value: V | undefined): { [N in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [N in K]?: V })
}
