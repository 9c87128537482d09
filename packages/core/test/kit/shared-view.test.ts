import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deferred, SharedView, type SharedViewHost, type SharedViewOptions } from '../../src/kit/index.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

/** A channel whose messages the test sends. */
function channel() {
  let send: (message: string) => void = () => {}
  let gap: () => void = () => {}
  const close = vi.fn(async () => {})
  const redis: SharedViewHost = {
    subscribe: async (name, handler, { onGap } = {}) => {
      send = (message) => handler(message, name)
      gap = () => onGap?.()
      return { close } as unknown as Awaited<ReturnType<SharedViewHost['subscribe']>>
    },
  }
  return { redis, close, send: (message = '') => send(message), gap: () => gap() }
}

function setUp(options: Partial<SharedViewOptions> = {}) {
  const bus = channel()
  const read = vi.fn(async (_cause: string) => {})
  const onError = vi.fn()
  const view = new SharedView({
    redis: bus.redis,
    channel: 'c',
    read,
    onError,
    random: () => 0.5,
    ...options,
  })
  return { ...bus, read, onError, view }
}

describe('a shared view', () => {
  it('reads once for a burst of messages, within the time that it lets them settle', async () => {
    const { view, send, read } = setUp({ settleMs: 5 })
    await view.start()
    expect(read).not.toHaveBeenCalled()
    for (let sent = 0; sent < 4; sent++) {
      send()
      await vi.advanceTimersByTimeAsync(1)
    }
    expect(read).not.toHaveBeenCalled()
    // The time counts from the first message, so that an endless stream of messages can't delay the read.
    await vi.advanceTimersByTimeAsync(1)
    expect(read.mock.calls).toEqual([['message']])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('takes a gap in the subscription for a message, and leaves messages that do not concern it', async () => {
    const { view, send, gap, read } = setUp({ concerns: (message) => message === 'mine' })
    await view.start()
    send('other')
    await vi.advanceTimersByTimeAsync(10)
    expect(read).not.toHaveBeenCalled()
    send('mine')
    await vi.advanceTimersByTimeAsync(10)
    gap()
    await vi.advanceTimersByTimeAsync(10)
    expect(read).toHaveBeenCalledTimes(2)
  })

  it.each([
    [0, 900],
    [0.5, 1_000],
    [0.999, 1_099.8],
  ])('polls, jittered by a tenth: random %d makes %d ms', async (random, pauseMs) => {
    const { view, read } = setUp({ redis: undefined, pollMs: 1_000, random: () => random })
    await view.start()
    await vi.advanceTimersByTimeAsync(pauseMs - 2)
    expect(read).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(4)
    expect(read.mock.calls).toEqual([['poll']])
    await vi.advanceTimersByTimeAsync(pauseMs + 2)
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('polls on where a message has come between', async () => {
    const { view, send, read } = setUp({ pollMs: 1_000 })
    await view.start()
    await vi.advanceTimersByTimeAsync(900)
    send()
    await vi.advanceTimersByTimeAsync(5)
    expect(read.mock.calls).toEqual([['message']])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(read.mock.calls).toEqual([['message'], ['poll']])
  })

  it('polls although it may not subscribe, and tells that', async () => {
    const redis: SharedViewHost = { subscribe: () => Promise.reject(new Error('NOPERM')) }
    const { view, read } = setUp({ redis, pollMs: 1_000 })
    await expect(view.start()).rejects.toThrow('NOPERM')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('never reads twice at once; who asks during a read gets what the next one finds, with all others', async () => {
    const gates = [deferred(), deferred(), deferred()]
    let atOnce = 0
    let maxAtOnce = 0
    const read = vi.fn(async () => {
      maxAtOnce = Math.max(maxAtOnce, ++atOnce)
      await gates[read.mock.calls.length - 1]?.promise
      atOnce--
    })
    const { view, send } = setUp({ read })
    await view.start()
    const first = view.refresh()
    const later = [view.refresh(), view.refresh()]
    send()
    await vi.advanceTimersByTimeAsync(50)
    expect(read).toHaveBeenCalledTimes(1)
    let laterEnded = 0
    for (const end of later) void end.then(() => laterEnded++)
    gates[0]?.resolve()
    await first
    await vi.advanceTimersByTimeAsync(1)
    expect(read).toHaveBeenCalledTimes(2)
    expect(laterEnded).toBe(0)
    gates[1]?.resolve()
    await Promise.all(later)
    await vi.advanceTimersByTimeAsync(50)
    expect(read).toHaveBeenCalledTimes(2)
    expect(maxAtOnce).toBe(1)
  })

  it('tells a failed read to who asked, and otherwise to onError, and goes on', async () => {
    const { view, read, onError } = setUp({ pollMs: 1_000 })
    read.mockRejectedValue(new Error('down'))
    await view.start()
    await expect(view.refresh()).rejects.toThrow('down')
    expect(onError).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(2_000)
    expect(onError.mock.calls).toEqual([[new Error('down')], [new Error('down')]])
    const ends = await Promise.allSettled([view.refresh(), view.refresh()])
    expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })

  it('is over with close, a read that is due and a subscription that is under way included', async () => {
    const { view, send, read, close } = setUp({ pollMs: 1_000 })
    await view.start()
    send()
    await view.close()
    await vi.advanceTimersByTimeAsync(5_000)
    await view.refresh()
    view.soon()
    expect(read).not.toHaveBeenCalled()
    expect(close).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)

    const early = setUp()
    const starting = early.view.start()
    await early.view.close()
    await starting
    expect(early.close).toHaveBeenCalledTimes(1)
  })
})
