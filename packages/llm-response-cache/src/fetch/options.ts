import { InvalidOptionError } from '@evenkeel/core'
import { option } from '@evenkeel/core/kit'
import { type CallOptions, callingOptionNames } from '../call-options.js'

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** Replay of a stored stream: without pauses, at its original pace, or at this many events (tokens) a second. */
export type Replay = 'instant' | 'recorded' | { readonly tokensPerSecond: number }

export interface FetchOptions extends Omit<CallOptions, 'onlyIfCached'> {
  /** The `fetch` that calls the provider, such as a rate limiter's or a pool's. @default the global fetch */
  readonly fetch?: Fetch | undefined
  /** @default 'instant' */
  readonly replay?: Replay | undefined
  /** Stores each input of an embeddings call as a separate entry. @default true */
  readonly embeddingsByItem?: boolean | undefined
  /**
   * Lets a request's headers set options: `cache-control` and `x-evenkeel-ttl` (at most the `ttl` given here or in the
   * cache), and `x-evenkeel-tags`. Use it only if your own code sets these headers: a gateway that forwards its
   * callers' headers would let them probe the cache. Headers never choose the tenant. @default false
   */
  readonly optionsByHeader?: boolean | undefined
}

const names: Readonly<Record<keyof FetchOptions, true>> = {
  ...callingOptionNames,
  fetch: true,
  replay: true,
  embeddingsByItem: true,
  optionsByHeader: true,
}

export interface ResolvedFetchOptions {
  readonly upstream: Fetch
  readonly replay: Replay
  readonly byItem: boolean
  readonly byHeader: boolean
}

/** @throws INVALID_OPTION that names the field */
export function resolveFetchOptions(options: FetchOptions): ResolvedFetchOptions {
  option.members('', options, names)
  if (options.fetch !== undefined) option.fn('fetch', options.fetch)
  return {
    upstream: options.fetch ?? ((input, init) => fetch(input, init)),
    replay: checkReplay(options.replay ?? 'instant'),
    byItem: option.flag('embeddingsByItem', options.embeddingsByItem ?? true),
    byHeader: option.flag('optionsByHeader', options.optionsByHeader ?? false),
  }
}

function checkReplay(replay: Replay): Replay {
  const isPaced = typeof replay === 'object' && replay !== null && replay.tokensPerSecond > 0
  if (replay === 'instant' || replay === 'recorded' || isPaced) return replay
  throw new InvalidOptionError('replay', "'instant', 'recorded' or { tokensPerSecond } above 0", replay)
}
