import type { PreparedMessage } from '../messages/prepare.js'
import type { MessageRecord } from '../messages/record.js'
import type { Limits } from '../stores/limits.js'
import type { ThreadDump, ThreadStore } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'

/** Number of messages in one append. */
const atOnce = 200

/**
 * Appends the messages of a dump that a thread does not have, each once. Returns how many were left out because the
 * thread has another message with their id, which stays unchanged.
 */
export async function mergeInto(
  store: ThreadStore,
  id: ThreadId,
  { records }: ThreadDump,
  terms: { readonly ttlMs: number; readonly limits: Limits },
): Promise<number> {
  let conflicts = 0
  for (let from = 0; from < records.length; from += atOnce) {
    let batch = records.slice(from, from + atOnce).map(messageOf)
    while (batch.length > 0) {
      const result = await store.append(id, batch, terms)
      if (result.status !== 'conflict') break
      conflicts++
      batch = batch.filter((message) => message.id !== result.id)
    }
  }
  return conflicts
}

function messageOf({ id, role, tokens, digest, body, opens, answers }: MessageRecord): PreparedMessage {
  return { id, role, tokens, digest, body, opens, answers: answers.map(({ call }) => call) }
}
