import type { Spans } from '@evenkeel/core/kit'
import type { DecoderNode } from '../nodes/node.js'

type Call<T> = (node: DecoderNode, signal: AbortSignal) => Promise<T>

/**
 * A span around one request on the pool, from the wait for a node to its answer, with the node that answered (or was
 * asked last) and the number of nodes asked. Spans of the caller's requests to nodes are its children.
 */
export function tracedRun<T>(
  spans: Spans,
  pool: string,
  call: Call<T>,
  run: (call: Call<T>) => Promise<T>,
): Promise<T> {
  const attributes = { 'evenkeel.decoder_pool.name': pool }
  return spans.around('decoder_pool run', { attributes }, (span) => {
    let attempts = 0
    return run(async (node, signal) => {
      attempts++
      span?.set({
        'evenkeel.decoder_pool.attempts': attempts,
        'evenkeel.decoder_pool.node': node.id,
        'server.address': new URL(node.endpoint).hostname,
      })
      const value = await call(node, signal)
      // With a hedge it is not always the node that was asked last.
      span?.set({ 'evenkeel.decoder_pool.node': node.id })
      return value
    })
  })
}
