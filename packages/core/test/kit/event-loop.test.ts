import { afterEach, expect, it, vi } from 'vitest'
import { nextTick, queueMicrotask, setImmediate } from '../../src/kit/index.js'

afterEach(() => void vi.useRealTimers())

it('the end of a turn comes while a test has fake timers', async () => {
  vi.useFakeTimers({ toFake: ['setImmediate', 'queueMicrotask', 'setTimeout'] })
  const fake = vi.fn()
  globalThis.setImmediate(fake)
  globalThis.queueMicrotask(fake)
  const order: string[] = []
  await new Promise<void>((resolve) => {
    setImmediate(() => {
      order.push('immediate')
      resolve()
    })
    nextTick(() => order.push('tick'))
    queueMicrotask(() => order.push('microtask'))
  })
  expect(order.at(-1)).toBe('immediate')
  expect(order.toSorted()).toEqual(['immediate', 'microtask', 'tick'])
  expect(fake).not.toHaveBeenCalled()
})
