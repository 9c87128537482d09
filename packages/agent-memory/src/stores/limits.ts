export type Limit = 'messages' | 'bytes' | 'threads' | 'pinned' | 'state'

/** Maxima of a thread: each pinned message is in every window, and all keys of the state are read together. */
export const fixedLimits = { pinned: 16, stateKeys: 256 } as const

/** 0 for no limit. */
export interface Limits {
  readonly messages: number
  readonly bytes: number
  /** Of an owner. */
  readonly threads: number
}

/** How long a deletion is remembered: longer than a write should wait in a journal. */
export const tombstoneMs = 7 * 86_400_000

export const noLimits: Limits = { messages: 0, bytes: 0, threads: 0 }
