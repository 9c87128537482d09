import type { AttributeValue } from './provider.js'
import type { RunningSpan, Spans } from './spans.js'
import { wrapMethods } from './wrap-methods.js'

/** The names of an object's methods that return an async iterable. */
type IterationOf<T> = {
  [K in keyof T]: T[K] extends (...args: never[]) => AsyncIterable<unknown> ? K : never
}[keyof T] &
  string

/**
 * Puts a span around each iteration that the named methods of this one object return: from its first step to its end,
 * with the number of its steps (`evenkeel.steps`). The commands of each step are below the span. An iteration without
 * any step has no span. Without `spans` the object stays as it is.
 * @returns the same object
 */
export function traceIterations<T extends object, K extends IterationOf<T>>(
  spans: Spans | undefined,
  target: T,
  names: Readonly<Record<K, string>>,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): T {
  if (spans === undefined) return target
  return wrapMethods(
    target,
    names,
    (call, name) =>
      (...args) =>
        traced(call(args) as AsyncIterable<unknown>, () =>
          spans.start(name, { attributes: { ...attributes } }),
        ),
  )
}

/** Returns an iterator with all methods of a generator. */
function traced(
  iterable: AsyncIterable<unknown>,
  start: () => RunningSpan | undefined,
): AsyncIterableIterator<unknown> & AsyncDisposable {
  const inner = iterable[Symbol.asyncIterator]()
  let span: RunningSpan | undefined
  let hasBegun = false
  let steps = 0
  const end = (error?: unknown) => {
    span?.set({ 'evenkeel.steps': steps })
    span?.end(error)
  }
  const within = async (call: () => Promise<IteratorResult<unknown>>) => {
    try {
      const result = await (span === undefined ? call() : span.run(call))
      if (result.done) end()
      else steps++
      return result
    } catch (error) {
      end(error)
      throw error
    }
  }
  const stop = (value?: unknown) => within(async () => (await inner.return?.(value)) ?? { done: true, value })
  const outer = {
    next: (...args: [] | [unknown]) => {
      if (!hasBegun) span = start()
      hasBegun = true
      return within(() => inner.next(...args))
    },
    return: stop,
    throw: (error?: unknown) =>
      within(async () => {
        if (inner.throw === undefined) throw error
        return inner.throw(error)
      }),
    [Symbol.asyncIterator]: () => outer,
    [Symbol.asyncDispose]: async () => void (await stop()),
  }
  return outer
}
