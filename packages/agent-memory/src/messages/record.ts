/** A tool call that a message answers. */
export interface Answered {
  readonly call: string
  /** Seq of the message that made the call; `undefined` if the call was not open: unknown, or answered before. */
  readonly madeAt: number | undefined
}

/** A message in its place. */
export interface MessageRecord {
  /** From 1, without gaps; the seq of a removed message is not used again. */
  readonly seq: number
  readonly id: string
  readonly role: string
  readonly tokens: number
  /** Tokens of all messages appended before it, removed ones included, so that the number never changes. */
  readonly tokensBefore: number
  /** Number of turns up to this one, included; a user's message that answers no tool call begins a turn. */
  readonly turn: number
  /** When it was appended, ms since 1970 by the store's clock. */
  readonly at: number
  /** How often it was edited. */
  readonly revision: number
  /** Digest of the body. */
  readonly digest: string
  /** Ids of the tool calls that it makes. */
  readonly opens: readonly string[]
  readonly answers: readonly Answered[]
  /** The message without its id, as JSON. */
  readonly body: string
}

/** A summary in place of the beginning of a thread. */
export interface Summary {
  readonly number: number
  /** The last seq that it covers. */
  readonly to: number
  readonly tokens: number
  /** When it was made, ms since 1970. */
  readonly at: number
  /** As JSON. */
  readonly body: string
}
