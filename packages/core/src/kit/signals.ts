import { setMaxListeners } from 'node:events'

/** Signals with one follower or more; and those of which Node's limit of ten was taken away. */
const followed = new WeakSet<AbortSignal>()
const unlimited = new WeakSet<AbortSignal>()

export interface LinkedSignal {
  readonly signal: AbortSignal
  /** Aborts the linked signal. */
  abort(reason: unknown): void
  /** Leaves the sources. Call it when the work is over: a long-lived source keeps nothing of it then. */
  unlink(): void
}

/**
 * A signal that aborts with the first of its sources, with that source's reason. `AbortSignal.any` keeps every
 * signal that it ever made reachable from a long-lived source (nodejs/node#54614); this one lets go on `unlink`.
 * More than ten followers of one signal are normal for a service's shutdown signal, so no warning is given.
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
  const listener = () => callback(signal.reason)
  // Node warns of a leak from the eleventh listener on; calls that wait on one signal here may be thousands. Most
  // signals are of one call alone: to change their limit would cost each of them more than to follow it.
  if (!followed.has(signal)) followed.add(signal)
  else if (!unlimited.has(signal)) {
    unlimited.add(signal)
    setMaxListeners(0, signal)
  }
  signal.addEventListener('abort', listener, { once: true })
  return () => signal.removeEventListener('abort', listener)
}
