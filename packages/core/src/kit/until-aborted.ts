/**
 * Waits for a promise that nothing bounds, such as a client's handshake. Rejects with the signal's reason
 * when that aborts first; then, and when the promise rejects, `abandon` frees whatever is half open.
 */
export async function untilAborted<T>(
  pending: Promise<T>,
  signal: AbortSignal,
  abandon: () => void = () => {},
): Promise<T> {
  pending.catch(() => {})
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([pending, aborted])
  } catch (error) {
    abandon()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
