import type { StoredMessage } from './message.js'
import type { MessageRecord } from './record.js'

const decoded = new WeakMap<MessageRecord, StoredMessage>()

/** The message of a record: read from its JSON once, and frozen, since every reader gets the same one. */
export function messageOf(record: MessageRecord): StoredMessage {
  const known = decoded.get(record)
  if (known !== undefined) return known
  const message = freeze({ ...JSON.parse(record.body), id: record.id }) as StoredMessage
  decoded.set(record, message)
  return message
}

function freeze(value: object): object {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part)
  return Object.freeze(value)
}
