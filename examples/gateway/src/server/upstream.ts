import type { DecoderPool, NodeLease } from '@evenkeel/decoder-pool'
import type { Fetch } from '@evenkeel/llm-response-cache'
import type { Metrics } from './metrics.js'

/** Tries after the first. The pool ejects a node after three failures in a row: the fourth try goes elsewhere. */
const maxRetries = 3
const waitForNodeMs = 30_000

/**
 * A `fetch` whose host is the pool: each call goes to a node of the pool's choice, counts against that
 * node's capacity until its body has ended, and tells the pool how it went. A call that has brought no
 * byte is tried elsewhere.
 */
export function poolFetch(pool: DecoderPool, metrics: Metrics): Fetch {
  return async (input, init) => {
    const { pathname } = new URL(typeof input === 'object' && 'url' in input ? input.url : input)
    for (let attempt = 0; ; attempt++) {
      const lease = await pool.acquire({ timeout: waitForNodeMs })
      const settle = settleOnce(lease, metrics)
      try {
        const response = await fetch(`${lease.node.endpoint}${pathname}`, init)
        if (response.status < 500) return new Response(followed(response.body, settle), response)
        await response.body?.cancel()
        throw new Error(`The node answered ${response.status}`)
      } catch (error) {
        settle(false)
        if (attempt >= maxRetries) throw error
      }
    }
  }
}

function settleOnce(lease: NodeLease, metrics: Metrics): (ok: boolean) => void {
  let settled = false
  return (ok) => {
    if (settled) return
    settled = true
    lease.release({ ok })
    metrics.upstreamCalls.add(1, { node: lease.node.id, outcome: ok ? 'ok' : 'failed' })
  }
}

/** The body, watched to its end. */
function followed(
  body: ReadableStream<Uint8Array> | null,
  settle: (ok: boolean) => void,
): ReadableStream<Uint8Array> | null {
  if (body === null) {
    settle(true)
    return null
  }
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        settle(true)
        controller.close()
      } catch (error) {
        settle(false)
        controller.error(error)
      }
    },
    async cancel(reason) {
      settle(true)
      await reader.cancel(reason)
    },
  })
}
