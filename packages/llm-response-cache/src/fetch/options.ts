import { InvalidOptionError } from '@evenkeel/core'
import { option } from '@evenkeel/core/kit'
import type { CallOptions } from '../call-options.js'

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** How a kept stream is given: all at once, an event at a time, or at the pace at which it came. */
export type Replay = 'instant' | 'recorded' | { readonly tokensPerSecond: number }

export interface FetchOptions extends Omit<CallOptions, 'onlyIfCached'> {
  /** What really calls: another layer's fetch, such as a limiter's or a pool's. @default the global fetch */
  readonly fetch?: Fetch | undefined
  /** @default 'instant' */
  readonly replay?: Replay | undefined
  /** Each input of an embeddings call is an entry of its own. @default true */
  readonly embeddingsByItem?: boolean | undefined
  /**
   * Whether a request's own headers may choose: `cache-control` and `x-evenkeel-ttl` (at most the host's ttl),
   * `x-evenkeel-tags`. Only where your own code sets them: a gateway that passes its callers' headers on would
   * let them look into the cache. The tenant is never theirs to choose. @default false
   */
  readonly optionsByHeader?: boolean | undefined
}

const names: Readonly<Record<keyof FetchOptions, true>> = {
  ...{ fetch: true, replay: true, embeddingsByItem: true, optionsByHeader: true },
  ...{ useCache: true, ttl: true, refresh: true, tags: true, tenant: true, maxAge: true },
  staleWhileRevalidate: true,
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
