import { isOutage } from '@evenkeel/core/kit'
import { ThreadUnknownError } from '../errors.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { ThreadContext } from '../threads/context.js'
import type { Entry } from '../threads/entry.js'
import { entryOf, wholeInput } from '../threads/receipts.js'

/** A change of a thread. */
export type ThreadEvent =
  /** Messages were appended, in order; none is left out. */
  | { readonly kind: 'appended'; readonly entries: readonly Entry[]; readonly version: number }
  /** Older content changed: a message was edited, removed or pinned, or a summary was made. */
  | { readonly kind: 'rewritten'; readonly version: number }
  | { readonly kind: 'deleted' }

export interface SubscribeOptions {
  /** Begins after this seq. @default behind the newest message */
  readonly after?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const pageSize = 200

/**
 * Follows a thread. A notification only says that something may be new, and a read fetches it: a lost notification
 * delays an event, but loses none. In an outage nothing comes; all events follow afterwards.
 */
export async function* subscribe(
  context: ThreadContext,
  id: ThreadId,
  { after: from, signal }: SubscribeOptions,
): AsyncGenerator<ThreadEvent> {
  if (from !== undefined) wholeInput('after', from, 0)
  const pageBehind = async (after: number) => {
    try {
      const { value } = await context.read((store) => store.page(id, { after, limit: pageSize }))
      return value.stale ? undefined : value
    } catch (error) {
      if (isOutage(error) || error instanceof ThreadUnknownError) return undefined
      throw error
    }
  }
  let after = from
  let known: { readonly epoch: string; readonly edited: number } | undefined
  for await (const _ of context.notifier.changes(id, signal)) {
    for (let isMore = true; isMore && signal?.aborted !== true; ) {
      const page = await pageBehind(after ?? Number.MAX_SAFE_INTEGER - 1)
      if (page === undefined) break
      after ??= page.newest
      const { epoch, edited, version, newest } = page
      if (known !== undefined && known.epoch !== epoch && known.epoch !== '') {
        yield { kind: 'deleted' }
        after = 0
        known = { epoch, edited }
        continue
      }
      if (known !== undefined && edited > known.edited) yield { kind: 'rewritten', version }
      known = { epoch, edited }
      const entries = page.records.filter(({ seq }) => seq > (after ?? 0)).map(entryOf)
      if (entries.length > 0) yield { kind: 'appended', entries, version }
      after = page.next ?? Math.max(after, newest)
      isMore = page.next !== undefined
    }
  }
}
