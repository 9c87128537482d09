import { digestText } from '../messages/ids.js'
import type { Change } from './change.js'

/** Digest of what an operation does: another operation under the same token is refused. */
export function digestOf(change: Change): string {
  switch (change.kind) {
    case 'edit':
      return digestText(`${change.message.id}=${change.message.digest}`)
    case 'splice': {
      if (change.digest !== undefined) return change.digest
      const ids = [...change.expected, ...change.messages].map(({ id, digest = '' }) => `${id}=${digest}`)
      return digestText(`${change.expected.length}:${ids.join(' ')}`)
    }
    case 'put': {
      const ids = change.messages.map(({ id, digest }) => `${id}=${digest}`)
      return digestText(`put ${change.removes?.from} ${change.removes?.upTo} ${ids.join(' ')}`)
    }
    case 'set':
      return digestText(`${change.key}=${change.value}`)
    case 'add':
      return digestText(`${change.key}+${change.by}`)
    case 'unset':
      return digestText(`${change.key}-`)
    default:
      return ''
  }
}
