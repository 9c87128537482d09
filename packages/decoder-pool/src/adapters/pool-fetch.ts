import type { DecoderPool } from '../api.js'
import type { RunOptions } from '../dispatch/run.js'
import type { DecoderNode } from '../nodes/node.js'

/** A request as it came, for who decides where it may go. */
export interface PoolRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  /** As text; empty where there is none. */
  readonly body: string
}

export interface PoolFetchOptions {
  readonly pool: DecoderPool
  /** What the request wants of a node: model, tags, session, prompt blocks, a time to wait. @default anything, at once */
  readonly wanted?: ((request: PoolRequest) => RunOptions) | undefined
  /** What calls the chosen node. @default the global `fetch` */
  readonly fetch?: ((url: string, init: RequestInit, node: DecoderNode) => Promise<Response>) | undefined
}

/**
 * A `fetch` whose host is the pool: a request keeps its path and goes to a node of the pool's choice, counts against
 * that node's capacity until its answer has been read, and is tried elsewhere where that is safe. For SDKs that take
 * a `fetch`. The host of the URL means nothing. @throws NoNodeError beside what `fetch` throws
 * @example
 * const openai = new OpenAI({ baseURL: 'http://pool/v1', apiKey, fetch: createPoolFetch({ pool }) })
 */
export function createPoolFetch(options: PoolFetchOptions): typeof globalThis.fetch {
  const { pool, wanted = () => ({}), fetch = globalThis.fetch } = options
  return async (input, init) => {
    const request = new Request(input, init)
    const { method, headers, signal } = request
    const { pathname, search } = new URL(request.url)
    // Read once, since it may have to be sent twice.
    const bytes = request.body === null ? undefined : await request.arrayBuffer()
    const body = bytes === undefined ? '' : new TextDecoder().decode(bytes)
    return pool.run(
      (node, either) => {
        const sent = { method, headers, signal: either, ...(bytes !== undefined && { body: bytes }) }
        return fetch(`${node.endpoint}${pathname}${search}`, sent, node)
      },
      { signal, ...wanted({ method, headers, body, url: request.url }) },
    )
  }
}
