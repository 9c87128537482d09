import { JournalFullError } from './errors.js'
import type { PreparedMessage } from './message.js'
import type { ThreadId } from './store.js'

export type JournalEntry =
  | { readonly kind: 'append'; readonly id: ThreadId; readonly messages: readonly PreparedMessage[] }
  | { readonly kind: 'delete'; readonly id: ThreadId }

/** What Redis has yet to hear of, in order. Bounded; a full one refuses, and never drops. */
export class Journal {
  readonly #entries: JournalEntry[] = []
  readonly #maxMessages: number
  readonly #maxBytes: number
  #messages = 0
  #bytes = 0

  constructor({ maxMessages, maxBytes }: { maxMessages: number; maxBytes: number }) {
    this.#maxMessages = maxMessages
    this.#maxBytes = maxBytes
  }

  get messages(): number {
    return this.#messages
  }

  get bytes(): number {
    return this.#bytes
  }

  get first(): JournalEntry | undefined {
    return this.#entries[0]
  }

  add(entry: JournalEntry): void {
    const { messages, bytes } = sizeOf(entry)
    if (this.#messages + messages > this.#maxMessages || this.#bytes + bytes > this.#maxBytes) {
      throw new JournalFullError(this.#messages)
    }
    this.#messages += messages
    this.#bytes += bytes
    this.#entries.push(entry)
  }

  /** The first entry is in Redis. */
  acknowledge(): void {
    const entry = this.#entries.shift()
    if (entry === undefined) return
    const { messages, bytes } = sizeOf(entry)
    this.#messages -= messages
    this.#bytes -= bytes
  }
}

function sizeOf(entry: JournalEntry): { messages: number; bytes: number } {
  if (entry.kind === 'delete') return { messages: 1, bytes: 0 }
  return {
    messages: entry.messages.length,
    bytes: entry.messages.reduce((sum, { body }) => sum + body.length * 2, 0),
  }
}
