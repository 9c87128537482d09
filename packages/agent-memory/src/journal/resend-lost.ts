import type { Clock } from '@evenkeel/core/kit'
import type { WriteLog } from '../backends/port.js'
import type { PreparedMessage } from '../messages/prepare.js'
import type { Change } from '../stores/change.js'
import type { ThreadStore } from '../stores/port.js'
import type { ThreadVersion } from '../stores/thread-id.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import { entryOf, sizeOf, type ThreadWrite, type Write } from './entry.js'
import { forEachConcurrent, type Replay } from './replay.js'

/** Sends again the writes that Redis acknowledged last and may have lost, before any journaled write. */
export async function resendLost(
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
  await forEachConcurrent(byThread.values(), async ({ id, writes }) => {
    const entries = (await lostOf(store, id, writes)).map(({ write }) => entryOf(write))
    while (entries.length > 0) {
      signal.throwIfAborted()
      const together = replay.nextOf(entries)
      await replay.send(id, together)
      entries.splice(0, together.length)
    }
  })
  recent.renew()
}

/**
 * The writes to send again: all writes whose id or number prevents a repetition, and a write that replaces something
 * only if the thread is in a state from before it, since others may have replaced it again.
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

export interface RecentWrite extends ThreadWrite {
  /** The thread's version after the write, for a write that must not be repeated unless it was lost. */
  readonly after: Pick<ThreadVersion, 'epoch' | 'version'> | undefined
}

/**
 * The writes that Redis acknowledged last. A server that comes back may have lost them (AOF everysec, a
 * failover, no persistence at all): they are sent again, and those that Redis still has are duplicates.
 */
export class RecentWrites implements WriteLog {
  readonly #windowMs: number
  readonly #maxBytes: number
  readonly #clock: Clock
  readonly #writes: (RecentWrite & { at: number; readonly bytes: number })[] = []
  /** Index of the first write; those before it are forgotten. */
  #first = 0
  #bytes = 0

  constructor(options: { windowMs: number; maxBytes: number; clock: Clock }) {
    this.#windowMs = options.windowMs
    this.#maxBytes = options.maxBytes
    this.#clock = options.clock
  }

  appended(id: ThreadId, batch: readonly PreparedMessage[], generation: number): void {
    this.#add(id, { kind: 'append', batch, generation })
  }

  changed(id: ThreadId, change: Change, { generation, epoch, version }: ThreadVersion): void {
    this.#add(id, { kind: 'change', change, generation }, { epoch, version })
  }

  deleted(id: ThreadId, token: string, generation: number): void {
    this.#add(id, { kind: 'delete', token, generation })
  }

  /** Called when an outage begins: forgets writes that are older than the window. */
  prune(): void {
    const since = this.#clock.monotonic() - this.#windowMs
    const young = this.#writes.findIndex(({ at }, index) => index >= this.#first && at >= since)
    this.#forget(young < 0 ? this.#writes.length : young)
  }

  /** All of them, oldest first. */
  list(): readonly RecentWrite[] {
    return this.#writes.slice(this.#first)
  }

  /** Called when they were sent again: a server that fails again may lose them again. */
  renew(): void {
    const at = this.#clock.monotonic()
    for (const write of this.#writes) write.at = at
  }

  #add(id: ThreadId, write: Write, after?: RecentWrite['after']): void {
    if (this.#windowMs === 0) return
    const { bytes } = sizeOf(write)
    const at = this.#clock.monotonic()
    this.#writes.push({ id, write, after, at, bytes })
    this.#bytes += bytes
    const since = at - this.#windowMs
    let oldest = this.#writes[this.#first]
    while (oldest !== undefined && (oldest.at < since || this.#bytes > this.#maxBytes)) {
      this.#bytes -= oldest.bytes
      oldest = this.#writes[++this.#first]
    }
    // Shortening an array at its front is slow, so it is not done for each write.
    if (this.#first > 1_024 && this.#first * 2 > this.#writes.length) this.#forget(this.#first)
  }

  /** Removes the first `count` of the array, which may include forgotten ones. */
  #forget(count: number): void {
    for (const { bytes } of this.#writes.slice(this.#first, count)) this.#bytes -= bytes
    this.#writes.splice(0, count)
    this.#first = Math.max(0, this.#first - count)
  }
}
