import type { Change, ChangeOutcome } from './change.js'
import { digestText } from './message.js'

/** Operations whose outcome a thread remembers, in Redis too. */
const mostRemembered = 64

interface Operation {
  readonly digest: string
  readonly outcome: ChangeOutcome
}

/** What a thread's latest operations came to, by their tokens. */
export class Operations {
  readonly #operations: Map<string, Operation>

  constructor(other?: Operations) {
    this.#operations = new Map(other === undefined ? [] : other.#operations)
  }

  get(token: string | undefined): Operation | undefined {
    return token === undefined ? undefined : this.#operations.get(token)
  }

  remember(token: string, operation: Operation): void {
    this.#operations.set(token, operation)
    const [oldest] = this.#operations.keys()
    if (this.#operations.size > mostRemembered && oldest !== undefined) this.#operations.delete(oldest)
  }

  clear(): void {
    this.#operations.clear()
  }
}

/** What an operation does, told shortly: another under the same token is refused. */
export function digestOf(change: Change): string {
  switch (change.kind) {
    case 'edit':
      return digestText(`${change.message.id}=${change.message.digest}`)
    case 'splice': {
      if (change.digest !== undefined) return change.digest
      const ids = [...change.expected, ...change.messages].map(({ id, digest = '' }) => `${id}=${digest}`)
      return digestText(`${change.expected.length}:${ids.join(' ')}`)
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
