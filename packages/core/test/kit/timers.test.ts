import { getEventListeners } from 'node:events'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { maxTimerMs, setLongTimeout, sleep } from '../../src/kit/index.js'

const dayMs = 86_400_000

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

describe('a long timer', () => {
  it.each([1, maxTimerMs - 1, maxTimerMs, maxTimerMs + 1, 60 * dayMs, 3_650 * dayMs])(
    'fires once, after %d ms and no earlier',
    async (delayMs) => {
      const fired = vi.fn()
      setLongTimeout(fired, delayMs)
      await vi.advanceTimersByTimeAsync(delayMs - 1)
      expect(fired).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(1)
      expect(fired).toHaveBeenCalledTimes(1)
      await vi.advanceTimersByTimeAsync(delayMs)
      expect(fired).toHaveBeenCalledTimes(1)
      expect(vi.getTimerCount()).toBe(0)
    },
  )

  it('is cleared in any of its parts, and after it fired', async () => {
    const fired = vi.fn()
    const timer = setLongTimeout(fired, 60 * dayMs)
    await vi.advanceTimersByTimeAsync(40 * dayMs)
    timer.clear()
    await vi.advanceTimersByTimeAsync(60 * dayMs)
    expect(fired).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
    const short = setLongTimeout(fired, 1)
    await vi.advanceTimersByTimeAsync(1)
    short.clear()
    expect(fired).toHaveBeenCalledTimes(1)
  })

  it('never fires after Infinity, and at once after a time that has passed', async () => {
    const never = vi.fn()
    const timer = setLongTimeout(never, Number.POSITIVE_INFINITY)
    await vi.advanceTimersByTimeAsync(100 * dayMs)
    expect(never).not.toHaveBeenCalled()
    timer.clear()
    const passed = vi.fn()
    setLongTimeout(passed, -5)
    await vi.advanceTimersByTimeAsync(1)
    expect(passed).toHaveBeenCalledTimes(1)
  })
})

describe('sleep', () => {
  it('resolves after its time, beyond what one timer holds too', async () => {
    const over = vi.fn()
    void sleep(60 * dayMs).then(over)
    await vi.advanceTimersByTimeAsync(60 * dayMs - 1)
    expect(over).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect(over).toHaveBeenCalledTimes(1)
  })

  it("rejects with the signal's own reason, before it begins and in the middle", async () => {
    const reason = new DOMException('too long', 'TimeoutError')
    await expect(sleep(1_000, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const asleep = sleep(1_000, { signal: controller.signal })
    controller.abort(reason)
    await expect(asleep).rejects.toBe(reason)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('may have a signal in common with thousands, and leaves nothing at it', async () => {
    const warn = vi.spyOn(process, 'emitWarning')
    const { signal } = new AbortController()
    const all = Promise.all(Array.from({ length: 2_000 }, () => sleep(1_000, { signal })))
    await vi.advanceTimersByTimeAsync(1_000)
    await all
    expect(warn).not.toHaveBeenCalled()
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })

  it.each([
    ['sleep', () => void sleep(1_000), true],
    ['sleep with ref: false', () => void sleep(1_000, { ref: false }), false],
    ['a long timer', () => setLongTimeout(() => {}, 1_000), false],
    ['a long timer with ref: true', () => setLongTimeout(() => {}, 1_000, { ref: true }), true],
  ])('keeps the process alive for what is waited for alone: %s', (_, wait, expected) => {
    const made = vi.spyOn(globalThis, 'setTimeout')
    wait()
    expect(made.mock.results.map(({ value }) => value.hasRef())).toEqual([expected])
    made.mockRestore()
  })
})
