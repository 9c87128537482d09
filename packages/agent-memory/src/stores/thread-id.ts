export interface ThreadId {
  readonly owner: string
  readonly thread: string
}

/** Which state of a thread a reply is about. */
export interface ThreadVersion {
  /** Made with the thread; another epoch means another thread of the same name. Empty if there is no thread. */
  readonly epoch: string
  /** Grows when a thread of this name is deleted, or its owner erased; remembered for a week after the last time. */
  readonly generation: number
  /** Grows with each change. */
  readonly version: number
  /** Version of the last change to earlier records: an edit, a removal, a pin or a summary. */
  readonly edited: number
}

/** A text that no two threads share. */
export function textOf({ owner, thread }: ThreadId): string {
  return `${owner.length}:${owner}${thread}`
}
