/**
 * Names one operation on a thread, so that repeating it is none. A host's own name is remembered among the
 * latest 64 of a thread. A writer numbers what it does, and a thread remembers the highest number of each:
 * however long a write waits in a journal, and whatever others do meanwhile, it is known to be done.
 */
export type Token = string | { readonly writer: string; readonly number: number }
