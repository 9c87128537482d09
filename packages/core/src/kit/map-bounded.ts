import { EvenkeelError } from '../errors.js'

/**
 * Runs over all items with at most `max` at once, and returns the results in their order. If the connection has no room
 * for that many (`OVERLOADED`, with nothing sent), fewer run at once: the item is tried again when another has ended.
 * After a failure no new item starts, and running ones are awaited.
 * @throws the first failure; OVERLOADED if there is no room even for one
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  max: number,
  run: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length)
  const refused: number[] = []
  let next = 0
  let hasFailed = false
  let failure: unknown

  const work = async () => {
    for (;;) {
      const index = refused.pop() ?? next++
      const isOver = index >= items.length
      if (isOver || hasFailed) break
      try {
        results[index] = await run(items[index] as T)
      } catch (error) {
        if (isOverload(error) && max > 1) refused.push(index)
        else if (!hasFailed) {
          hasFailed = true
          failure = error
        }
        break
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(max, items.length) }, work))
  if (hasFailed) throw failure
  // Items that were refused after all others had ended.
  if (refused.length > 0) {
    const rest = refused.sort((one, other) => one - other)
    const found = await mapBounded(
      rest.map((index) => items[index] as T),
      1,
      run,
    )
    for (const [at, index] of rest.entries()) results[index] = found[at] as R
  }
  return results
}

function isOverload(error: unknown): boolean {
  return EvenkeelError.isInstance(error) && error.code === 'OVERLOADED'
}
