import { fromJson, isMarked } from './json.js'
import type { StoredMessage } from './message.js'
import type { MessageRecord } from './record.js'

const decoded = new WeakMap<MessageRecord, StoredMessage>()

/**
 * The message of a record: decoded once, and frozen, since every reader gets the same object. A message with bytes,
 * dates or maps, which can't be frozen, is decoded for each reader.
 */
export function messageOf(record: MessageRecord): StoredMessage {
  const known = decoded.get(record)
  if (known !== undefined) return known
  const message = { ...(fromJson(record.body) as object), id: record.id } as StoredMessage
  if (isMarked(record.body)) return message
  freeze(message)
  decoded.set(record, message)
  return message
}

function freeze(value: object): object {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) freeze(part)
  return Object.freeze(value)
}
