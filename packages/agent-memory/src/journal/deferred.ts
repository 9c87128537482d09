import { type Deferred, deferred } from '@evenkeel/core/kit'

/** A deferred whose rejection does not count as unhandled if no caller waits for it. */
export function quietDeferred<T>(): Deferred<T> {
  const made = deferred<T>()
  made.promise.catch(() => {})
  return made
}
