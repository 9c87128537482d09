import { ThreadIncompleteError } from '../errors.js'
import type { Entry } from './entry.js'
import type { Thread } from './thread.js'

/** Messages of a thread, and the values that a write that depends on them needs. */
export interface ThreadReading {
  readonly entries: readonly Entry[]
  readonly generation: number
  /** Seq of the newest message that was read; 0 for none. */
  readonly newest: number
  /** `false` when only a part of the thread is known here. */
  readonly complete: boolean
}

export interface ReadAllOptions {
  /** In an outage returns what this process knows of the thread; by default, a part of a thread is refused. */
  readonly partial?: boolean | undefined
}

/**
 * Every message of a thread, in order; a round trip for 500 of them.
 * @throws ThreadIncompleteError in an outage, when this process knows only a part and `partial` is not set
 */
export async function allEntries(
  thread: Thread,
  { partial = false }: ReadAllOptions = {},
): Promise<ThreadReading> {
  const entries: Entry[] = []
  let [generation, complete] = [0, true]
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page = await thread.page({ after, limit: 500 })
    if (!page.complete && !partial) throw new ThreadIncompleteError()
    generation = page.generation
    complete &&= page.complete
    entries.push(...page.entries)
    after = page.next
  }
  return { entries, generation, complete, newest: entries.at(-1)?.seq ?? 0 }
}

/** The newest messages of a thread, in order. @throws ThreadIncompleteError as {@link allEntries} does */
export async function newestEntries(
  thread: Thread,
  count: number,
  { partial = false }: ReadAllOptions = {},
): Promise<ThreadReading> {
  const entries: Entry[] = []
  let [generation, complete] = [0, true]
  let before: number | undefined = Number.MAX_SAFE_INTEGER
  while (before !== undefined && entries.length < count) {
    const page = await thread.page({ before, limit: Math.min(500, count - entries.length) })
    if (!page.complete && !partial) throw new ThreadIncompleteError()
    generation = page.generation
    complete &&= page.complete
    entries.push(...page.entries)
    before = page.next
  }
  return { entries: entries.reverse(), generation, complete, newest: entries.at(-1)?.seq ?? 0 }
}
