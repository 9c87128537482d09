import { onAbort } from './signals.js'

/**
 * Waits for a promise that has no time limit of its own, such as a client's handshake. Rejects with the signal's
 * reason if it aborts first; then, and if the promise rejects, `abandon` frees whatever is half open.
 */
export async function untilAborted<T>(
  pending: Promise<T>,
  signal: AbortSignal,
  abandon: () => void = () => {},
): Promise<T> {
  pending.catch(() => {})
  let stopFollowing = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stopFollowing = onAbort(signal, reject)
  })
  try {
    return await Promise.race([aborted, pending])
  } catch (error) {
    abandon()
    throw error
  } finally {
    stopFollowing()
  }
}
