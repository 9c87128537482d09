import { onAbort, setLongTimeout } from '@evenkeel/core/kit'

/**
 * Callers that wait for a condition, which is checked whenever it may have changed: a condition variable. The kit has
 * none, because no other package needs one: its `untilAborted` bounds an existing promise, and a `Deferred` is settled
 * by its maker.
 */
export class Watchers {
  readonly #looks = new Set<() => void>()

  /** Checks the conditions of all callers. */
  look(): void {
    for (const look of this.#looks) look()
  }

  /** Resolves when the condition holds, or the time is up. @throws the signal's reason */
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
