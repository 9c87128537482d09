/** Whose history is written and read. */
export type Library = 'evenkeel' | '@langchain/redis'

/** What a process of the harness is to do; it comes as JSON on the command line. */
export interface Task {
  readonly library: Library
  readonly role: 'writer' | 'reader' | 'walker'
  readonly name: string
  readonly url: string
  /** After so long a command has failed, where the library has such a bound. */
  readonly timeoutMs: number
  /** Folder of the journals; readers have none. */
  readonly dir?: string | undefined
  /** Number of the first message. */
  readonly from: number
  /** A caller that tries a refused message again until it is taken; otherwise he goes on with the next one. */
  readonly isStubborn: boolean
  /** Where it dies, when not later. */
  readonly step?: Step | undefined
}

/** A moment of the journal's work with its file: the process dies there as by SIGKILL. */
export interface Step {
  readonly call: 'openSync' | 'writeSync' | 'fdatasync' | 'ftruncateSync' | 'renameSync' | 'unlinkSync'
  readonly moment: 'before' | 'after' | /** Half of what is written is. */ 'torn'
  /** Of the lines that are written: those of entries, or of what is done. */
  readonly line?: 'entry' | 'done' | undefined
}

/** So many messages of a length of their own. */
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
