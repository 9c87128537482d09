import type { Entry } from './entry.js'
import type { Thread } from './thread.js'

/** Every message of a thread, in order; a round trip for 500 of them. */
export async function allEntries(thread: Thread): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page = await thread.page({ after, limit: 500 })
    entries.push(...page.entries)
    after = page.next
  }
  return entries
}

/** The newest messages of a thread, in order. */
export async function newestEntries(thread: Thread, count: number): Promise<readonly Entry[]> {
  const entries: Entry[] = []
  let before: number | undefined = Number.MAX_SAFE_INTEGER
  while (before !== undefined && entries.length < count) {
    const page = await thread.page({ before, limit: Math.min(500, count - entries.length) })
    entries.push(...page.entries)
    before = page.next
  }
  return entries.reverse()
}
