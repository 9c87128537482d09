import type { Task } from './task.js'
import type { Walked } from './walks.js'

/** One conversation, as a process of the harness uses it. */
export interface History {
  /** Resolves when the library says that the message is kept. */
  append(id: string, content: string): Promise<{ readonly journaled: boolean }>
  /** Ids of the latest messages in order; `undefined` when the library says that they may not be the latest. */
  latest(count: number): Promise<readonly string[] | undefined>
  /** All ids, and the number of entries whose place is not one after the previous one's. */
  all(): Promise<{ readonly ids: readonly string[]; readonly gaps: number }>
  /** One turn of walks over all threads of a process, if the library has them. */
  walk?(name: string): Promise<Walked>
  /** Waits for what is in flight. Resolves to the number of messages sent again to a server that had lost them. */
  end(): Promise<number>
}

export type Opening = Pick<Task, 'library' | 'url' | 'dir' | 'timeoutMs'>
