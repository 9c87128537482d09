import type { Deferred } from '@evenkeel/core/kit'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import { quietDeferred } from './deferred.js'
import type { ThreadWrite } from './entry.js'

/** How often other processes' files are read while a caller waits; less often if reading takes long. */
const lookMs = 25

/** Maximum wait of a caller, since the other process may have no connection to Redis. */
const maxWaitMs = 5_000

interface Left {
  readonly writes: Set<string>
  readonly gone: Deferred<void>
}

/**
 * Writes that were acknowledged on this host before this process began, and that another process will send: it may
 * have taken over what this writer left when it crashed. New writes of the same threads wait for them, so that a
 * writer's order is kept, whichever process sends its earlier writes.
 */
export class PredecessorWrites {
  readonly #look: () => readonly ThreadWrite[]
  readonly #threads = new Map<string, Left>()
  #endsAt: number | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param look returns the writes that wait in other processes' files */
  constructor(look: () => readonly ThreadWrite[]) {
    this.#look = look
    for (const one of look()) {
      const left = this.#threads.get(textOf(one.id)) ?? { writes: new Set(), gone: quietDeferred<void>() }
      left.writes.add(JSON.stringify(one.write))
      this.#threads.set(textOf(one.id), left)
    }
  }

  /** Resolves when no such write of this thread is left, or after some seconds; `undefined` if there is none. */
  before(id: ThreadId): Promise<void> | undefined {
    const left = this.#threads.get(textOf(id))
    if (left === undefined) return undefined
    if (this.#endsAt === undefined) {
      this.#endsAt = performance.now() + maxWaitMs
      this.#lookAgain()
    }
    return left.gone.promise
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const { gone } of this.#threads.values()) gone.resolve()
    this.#threads.clear()
  }

  #lookAgain(): void {
    const since = performance.now()
    const waiting = new Set(this.#look().map(({ id, write }) => `${textOf(id)}\n${JSON.stringify(write)}`))
    for (const [thread, { writes, gone }] of this.#threads) {
      for (const write of writes) if (!waiting.has(`${thread}\n${write}`)) writes.delete(write)
      if (writes.size > 0) continue
      this.#threads.delete(thread)
      gone.resolve()
    }
    if (this.#threads.size === 0) return
    const now = performance.now()
    if (now > (this.#endsAt ?? now)) return this.close()
    this.#timer = setTimeout(() => this.#lookAgain(), Math.max(lookMs, 10 * (now - since)))
    this.#timer.unref()
  }
}
