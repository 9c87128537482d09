import { createManagementHandler, InvalidOptionError } from '@evenkeel/core'
import type { Clear, ClearResult } from '../clear.js'
import type { CacheStats } from '../usage/stats.js'

/** The part of a cache that is used; caches of `createResponseCache` and `createCache` fit. */
export interface ManagedCache {
  stats(): CacheStats
  clear(what?: Clear): Promise<ClearResult>
}

export interface CacheHandlerOptions {
  /** The caches, by their names in the paths. */
  readonly caches: Readonly<Record<string, ManagedCache>>
  /** Whether a request may read and clear. There is no default: a client that clears the cache makes you pay for it. */
  readonly authorize: (request: Request) => boolean | Promise<boolean>
  /** @default '/cache' */
  readonly basePath?: string | undefined
}

/**
 * Creates a handler for operators, for any server with fetch's Request and Response. Its paths:
 *
 * - `GET /cache/stats`: the counts of every cache in this process
 * - `DELETE /cache`: all caches; `DELETE /cache/:name`: one; `DELETE /cache/:name/:pattern`: its entries whose
 *   names match a glob. `?tenant=`, `?model=` and `?tag=` narrow it.
 *
 * Answers are JSON: 200 with the counts or the number of cleared entries, 400, 403, 404, 405.
 */
export function createCacheHandler(options: CacheHandlerOptions): (request: Request) => Promise<Response> {
  const { caches, authorize, basePath = '/cache' } = options
  if (typeof caches !== 'object' || caches === null) {
    throw new InvalidOptionError('caches', 'caches by name', caches)
  }
  const answer = async (request: Request, [name, ...rest]: readonly string[]): Promise<Response> => {
    if (request.method === 'GET') {
      return name === 'stats' && rest.length === 0
        ? json(200, Object.fromEntries(Object.entries(caches).map(([key, cache]) => [key, cache.stats()])))
        : json(404, { error: 'not found' })
    }
    if (request.method !== 'DELETE') return json(405, { error: 'GET or DELETE' }, { allow: 'GET, DELETE' })
    const chosen =
      name === undefined ? Object.entries(caches) : Object.entries(caches).filter(([key]) => key === name)
    if (chosen.length === 0) return json(404, { error: `no cache of the name ${name}` })
    const what = clearOf(new URL(request.url).searchParams, rest.join('/') || undefined)
    const cleared = await Promise.all(
      chosen.map(async ([key, cache]) => [key, (await cache.clear(what)) ?? 'all'] as const),
    )
    return json(200, { cleared: Object.fromEntries(cleared) })
  }
  return createManagementHandler({ authorize, basePath, answer })
}

function clearOf(query: URLSearchParams, pattern: string | undefined): Clear {
  return {
    tenant: query.get('tenant') ?? undefined,
    model: query.get('model') ?? undefined,
    tag: query.get('tag') ?? undefined,
    pattern,
  }
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers })
}
