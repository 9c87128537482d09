import { type Deferred, deferred } from '@evenkeel/core/kit'

/** A deferred whose rejection bothers nobody who does not look at it. */
export function quietDeferred<T>(): Deferred<T> {
  const made = deferred<T>()
  made.promise.catch(() => {})
  return made
}
