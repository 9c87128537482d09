/** The library whose history is written and read. */
export type Library = 'evenkeel' | '@langchain/redis'

/** What a process of the harness is to do; it comes as JSON on the command line. */
export interface Task {
  readonly library: Library
  readonly role: 'writer' | 'reader' | 'walker'
  readonly name: string
  readonly url: string
  /** Deadline of a command, if the library has one. */
  readonly timeoutMs: number
  /** Folder of the journals; readers have none. */
  readonly dir?: string | undefined
  /** Number of the first message. */
  readonly from: number
  /** Whether the caller retries a refused message until it is taken; otherwise it goes on with the next one. */
  readonly isStubborn: boolean
  /** Where the process dies, unless a later order says so. */
  readonly step?: Step | undefined
}

/** A moment of the journal's work with its file: the process dies there as by SIGKILL. */
export interface Step {
  readonly call: 'openSync' | 'writeSync' | 'fdatasync' | 'ftruncateSync' | 'renameSync' | 'unlinkSync'
  readonly moment: 'before' | 'after' | /** Only the first 25 bytes are written. */ 'torn'
  /** Which lines count: those of entries, or of entries that are done. */
  readonly line?: 'entry' | 'done' | undefined
}

/** The next `count` messages have `length` characters. */
export interface Long {
  readonly length: number
  readonly count: number
}

/** From the harness to a process. */
export type Order =
  | { readonly kind: 'stop' }
  | { readonly kind: 'die'; readonly step: Step; readonly long: Long }

/** From a process to the harness. */
export type Report =
  | {
      readonly kind: 'acknowledged'
      readonly number: number
      readonly journaled: boolean
      readonly ms: number
    }
  | { readonly kind: 'refused'; readonly number: number }
  | { readonly kind: 'read'; readonly ids: readonly string[] }
  | {
      readonly kind: 'walked'
      readonly done: number
      readonly refused: number
      readonly faults: readonly string[]
    }
  | { readonly kind: 'ended'; readonly healed: number }
