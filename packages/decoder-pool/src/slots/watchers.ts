import { onAbort, setLongTimeout } from '@evenkeel/core/kit'

/**
 * Callers that wait until something is so, and look whenever it may have become so. A condition variable, which no
 * other package needs: `untilAborted` of core's kit bounds a promise that is there already, and `Deferred` is settled
 * once by its maker, while here each look may find any of the callers served.
 */
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
        timer.clear()
        this.#looks.delete(look)
        stopFollowing()
      }
      const end = () => {
        leave()
        resolve()
      }
      const look = () => {
        if (isSo()) end()
      }
      // A caller waits for it: the process stays alive until then.
      const timer = setLongTimeout(end, timeoutMs, { ref: true })
      this.#looks.add(look)
      const stopFollowing = onAbort(signal, (reason) => {
        leave()
        reject(reason)
      })
    })
  }
}
