/**
 * Waits for a handshake that no client library bounds by itself. When `signal` aborts first, or the
 * handshake fails, `abandon` must free whatever is half open.
 */
export async function handshake(
  connected: Promise<unknown>,
  signal: AbortSignal,
  abandon: () => void,
): Promise<void> {
  connected.catch(() => {})
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    await Promise.race([connected, aborted])
  } catch (error) {
    abandon()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
