export interface ThreadId {
  readonly owner: string
  readonly thread: string
}

/** Which thread: its owner and id. */
export interface ThreadVersion {
  /** Made with the thread; another one means another thread under the same name. Empty where there is none. */
  readonly epoch: string
  /** How often a thread of this name was deleted, or its owner erased; remembered for a week after the last time. */
  readonly generation: number
  /** Rises with each change. */
  readonly version: number
  /** Version of the last change to what was there before: an edit, a removal, a pin or a summary. */
  readonly edited: number
}

/** A text that no two threads share. */
export function textOf({ owner, thread }: ThreadId): string {
  return `${owner.length}:${owner}${thread}`
}
