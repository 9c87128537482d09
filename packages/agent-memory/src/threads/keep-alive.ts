import { maxTimerMs } from '@evenkeel/core/kit'

/**
 * A promise that keeps the process alive while a caller waits for it. Connections and their timers do not, so a script
 * that waits for its writes would otherwise end before they are done.
 */
class AwaitedPromise<T> extends Promise<T> {
  // biome-ignore lint/suspicious/noThenProperty: that it is waited for is what shall be noticed
  override then<A = T, B = never>(
    onValue?: ((value: T) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    const alive = setInterval(() => {}, maxTimerMs)
    const end = () => clearInterval(alive)
    Promise.prototype.then.call(this, end, end)
    return Promise.prototype.then.call(this, onValue, onError) as Promise<A | B>
  }

  /** `then` returns an ordinary promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }
}

/** Makes such a promise, whose rejection does not count as unhandled if no caller waits for it. */
export function keptAlive<T>(promise: Promise<T>): Promise<T> {
  const awaited = new AwaitedPromise<T>((resolve, reject) => {
    promise.then(resolve, reject)
  })
  Promise.prototype.then.call(awaited, undefined, () => {})
  return awaited
}
