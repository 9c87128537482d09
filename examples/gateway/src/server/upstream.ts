import { type DecoderNode, type DecoderPool, promptBlocks } from '@evenkeel/decoder-pool'
import { createPoolFetch, type PoolRequest } from '@evenkeel/decoder-pool/http'
import type { Fetch } from '@evenkeel/llm-response-cache'
import type { Metrics } from './metrics.js'

/**
 * A `fetch` whose host is the pool. A call is tried elsewhere as long as nothing has come of it: an answer that is
 * written twice costs a decoder some time, and nobody a wrong answer.
 */
export function poolFetch(pool: DecoderPool, metrics: Metrics): Fetch {
  return createPoolFetch({
    pool,
    fetch: countedFetch(metrics),
    wanted: (request) => ({ ...wishIn(request), timeout: '30s', idempotent: true, attempts: 4 }),
  })
}

/** Which model, and which beginning: a decoder that has read it before need not read it again. */
function wishIn({ body }: PoolRequest) {
  const { model, messages } = JSON.parse(body) as { model?: string; messages?: unknown }
  return { model, ...(messages !== undefined && { prefix: promptBlocks(messages) }) }
}

/** Counts calls by decoder, and by whether all of the answer came. */
function countedFetch({ upstreamCalls }: Metrics) {
  return async (url: string, init: RequestInit, node: DecoderNode): Promise<Response> => {
    const count = (outcome: 'ok' | 'failed') => upstreamCalls.add(1, { node: node.id, outcome })
    try {
      const response = await fetch(url, init)
      if (response.status >= 500 || response.body === null) {
        count(response.ok ? 'ok' : 'failed')
        return response
      }
      return new Response(followed(response.body, count), response)
    } catch (error) {
      count('failed')
      throw error
    }
  }
}

/** The body, watched to its end. */
function followed(
  body: ReadableStream<Uint8Array>,
  end: (outcome: 'ok' | 'failed') => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        end('ok')
        controller.close()
      } catch (error) {
        end('failed')
        controller.error(error)
      }
    },
    async cancel(reason) {
      end('ok')
      await reader.cancel(reason)
    },
  })
}
