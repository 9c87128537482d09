import { nextTick } from './event-loop.js'

type Callback = (reason: unknown) => void

/**
 * All followers of a signal share one listener: adding a listener to a signal costs more than everything else about
 * following it, and a call is followed by every layer that it passes. It also avoids Node's warning at 11 listeners.
 */
class SignalFollowers {
  readonly #signal: AbortSignal
  readonly #callbacks = new Set<{ readonly call: Callback }>()
  readonly #listener = () => this.#callAll()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  add(call: Callback): () => void {
    // A new object each time, so that a function that follows twice is called twice.
    const follower = { call }
    if (this.#callbacks.size === 0) this.#signal.addEventListener('abort', this.#listener, { once: true })
    this.#callbacks.add(follower)
    return () => {
      if (!this.#callbacks.delete(follower) || this.#callbacks.size > 0) return
      this.#signal.removeEventListener('abort', this.#listener)
    }
  }

  #callAll(): void {
    // Followers that are stopped by an earlier one are not called.
    for (const follower of [...this.#callbacks]) {
      if (!this.#callbacks.delete(follower)) continue
      try {
        follower.call(this.#signal.reason)
      } catch (error) {
        // As if it were a separate listener that throws: the others are still called.
        nextTick(() => {
          throw error
        })
      }
    }
  }
}

const followersOf = new WeakMap<AbortSignal, SignalFollowers>()

export interface LinkedSignal {
  readonly signal: AbortSignal
  /** Aborts the linked signal. */
  abort(reason: unknown): void
  /** Stops following the sources. Call it when the work is over, so that a long-lived source keeps no reference. */
  unlink(): void
}

/**
 * A signal that aborts with the first of its sources, with that source's reason. `AbortSignal.any` keeps every signal
 * that it created reachable from a long-lived source (nodejs/node#54614); this one releases it on `unlink`.
 */
export function linkSignals(...sources: readonly (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController()
  const stops: (() => void)[] = []
  const unlink = () => {
    for (const stop of stops.splice(0)) stop()
  }
  const abort = (reason: unknown) => {
    unlink()
    controller.abort(reason)
  }
  for (const source of sources) {
    if (controller.signal.aborted) break
    stops.push(onAbort(source, abort))
  }
  return { signal: controller.signal, abort, unlink }
}

/** Calls back when the signal aborts, at once if it has. Returns a function that stops it. */
export function onAbort(signal: AbortSignal | undefined, callback: (reason: unknown) => void): () => void {
  if (signal === undefined) return () => {}
  if (signal.aborted) {
    callback(signal.reason)
    return () => {}
  }
  let followers = followersOf.get(signal)
  if (followers === undefined) {
    followers = new SignalFollowers(signal)
    followersOf.set(signal, followers)
  }
  return followers.add(callback)
}
