import type { AppendGuards } from '../backends/port.js'
import type { PreparedMessage } from '../messages/prepare.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { ThreadContext } from './context.js'
import type { Receipt } from './entry.js'
import { receiptOf } from './receipts.js'

/** Appends prepared messages, counts them, and passes them to recall. */
export async function appendMessages(
  context: ThreadContext,
  id: ThreadId,
  messages: readonly PreparedMessage[],
  guards: AppendGuards,
): Promise<Receipt> {
  const { value, source } = await context.append(id, messages, guards)
  const { status } = value
  const isTaken = status === 'stored' || status === 'duplicate' || status === 'journaled'
  context.counters.appended[isTaken ? status : 'refused'] += messages.length
  if (status === 'stored' || status === 'journaled') context.noted(id, messages, value.generation)
  const ids = messages.map((message) => message.id)
  return receiptOf(ids, value, source)
}
