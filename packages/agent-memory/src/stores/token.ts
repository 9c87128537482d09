/**
 * Names one operation on a thread, so that repeating it has no effect. A thread remembers the latest 64 names that the
 * application chose. A writer numbers its operations, and a thread remembers the highest number of each writer:
 * however long a write waits in a journal, and whatever others do meanwhile, a repetition is recognised.
 */
export type Token = string | { readonly writer: string; readonly number: number }
