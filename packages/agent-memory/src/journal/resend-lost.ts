import { type ThreadId, type ThreadStore, textOf } from '../stores/port.js'
import { entryOf } from './entry.js'
import { inLanes } from './lanes.js'
import type { RecentWrite, RecentWrites } from './recent-writes.js'
import { nextOf, type Replay } from './replay.js'

/** Sends again what Redis acknowledged last, and may have lost, before anything that is journaled. */
export async function heal(
  store: ThreadStore,
  recent: RecentWrites,
  replay: Replay,
  signal: AbortSignal,
): Promise<void> {
  const byThread = new Map<string, { id: ThreadId; writes: RecentWrite[] }>()
  for (const write of recent.list()) {
    const thread = byThread.get(textOf(write.id)) ?? { id: write.id, writes: [] }
    thread.writes.push(write)
    byThread.set(textOf(write.id), thread)
  }
  await inLanes(byThread.values(), async ({ id, writes }) => {
    const entries = (await lostOf(store, id, writes)).map(({ write }) => entryOf(write))
    while (entries.length > 0) {
      signal.throwIfAborted()
      const together = nextOf(entries)
      await replay.send(id, together)
      entries.splice(0, together.length)
    }
  })
  recent.renew()
}

/**
 * What must be sent again: all that its id or number keeps from being done twice; and what replaces something
 * only where the thread stands before it, since others may have replaced it again.
 */
async function lostOf(
  store: ThreadStore,
  id: ThreadId,
  writes: readonly RecentWrite[],
): Promise<readonly RecentWrite[]> {
  const isDelicate = ({ write }: RecentWrite) =>
    write.kind === 'change' && 'token' in write.change && write.change.kind !== 'add'
  if (!writes.some(isDelicate)) return writes
  const { epoch, version } = await store.page(id, { ids: [] })
  return writes.filter(
    (one) =>
      !isDelicate(one) || one.after === undefined || one.after.epoch !== epoch || one.after.version > version,
  )
}
