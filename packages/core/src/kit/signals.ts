import { setMaxListeners } from 'node:events'

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
  const followed = sources.filter((source) => source !== undefined)
  const listeners = followed.map((source) => {
    const onAbort = () => controller.abort(source.reason)
    if (source.aborted) onAbort()
    else {
      followSignal(source, onAbort)
    }
    return { source, onAbort }
  })
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink: () => {
      for (const { source, onAbort } of listeners) source.removeEventListener('abort', onAbort)
    },
  }
}

/** Calls back when the signal aborts, at once if it has. Returns a function that stops it. */
export function onAbort(signal: AbortSignal | undefined, callback: (reason: unknown) => void): () => void {
  if (signal === undefined) return () => {}
  const listener = () => callback(signal.reason)
  if (signal.aborted) {
    listener()
    return () => {}
  }
  followSignal(signal, listener)
  return () => signal.removeEventListener('abort', listener)
}

const unlimited = new WeakSet<AbortSignal>()

function followSignal(signal: AbortSignal, listener: () => void): void {
  // Node warns of a leak from the eleventh listener on; who waits on one signal here may be thousands.
  if (!unlimited.has(signal)) {
    unlimited.add(signal)
    setMaxListeners(0, signal)
  }
  signal.addEventListener('abort', listener, { once: true })
}
