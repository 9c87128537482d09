/** Callers that wait until something is so, and look whenever it may have become so. */
export class Watchers {
  readonly #looks = new Set<() => void>()

  /** Something has changed. */
  look(): void {
    for (const look of this.#looks) look()
  }

  /** Resolves when it is so, or the time is up. @throws the signal's reason */
  async until(isSo: () => boolean, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    if (isSo() || timeoutMs <= 0) return
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        this.#looks.delete(look)
        signal?.removeEventListener('abort', onAbort)
      }
      const end = () => {
        leave()
        resolve()
      }
      const look = () => {
        if (isSo()) end()
      }
      const onAbort = () => {
        leave()
        reject(signal?.reason)
      }
      const timer = setTimeout(end, timeoutMs)
      this.#looks.add(look)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }
}
