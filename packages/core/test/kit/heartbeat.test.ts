import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { deferred, type HeartbeatOptions, heartbeat } from '../../src/kit/index.js'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

function setUp(options: Partial<HeartbeatOptions> = {}) {
  const beat = vi.fn(async () => {})
  const onError = vi.fn()
  return { beat, onError, heart: heartbeat({ everyMs: 1_000, jitter: 0, beat, onError, ...options }) }
}

describe('a heartbeat', () => {
  it('beats at its interval from start to stop, and goes on with the next start', async () => {
    const { heart, beat } = setUp()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(beat).not.toHaveBeenCalled()
    heart.start()
    heart.start()
    await vi.advanceTimersByTimeAsync(3_500)
    expect(beat).toHaveBeenCalledTimes(3)
    heart.stop()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(beat).toHaveBeenCalledTimes(3)
    heart.start()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(beat).toHaveBeenCalledTimes(4)
  })

  it.each([
    [0, 900],
    [0.5, 1_000],
    [0.999, 1_100],
  ])('spreads its pauses by a tenth: random %d makes %d ms', async (random, pauseMs) => {
    const { heart, beat } = setUp({ jitter: undefined, random: () => random })
    heart.start()
    await vi.advanceTimersByTimeAsync(pauseMs - 2)
    expect(beat).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(4)
    expect(beat).toHaveBeenCalledTimes(1)
  })

  it('asks for its interval before each pause', async () => {
    let everyMs = 100
    const { heart, beat } = setUp({ everyMs: () => everyMs })
    heart.start()
    everyMs = 10_000
    await vi.advanceTimersByTimeAsync(100)
    expect(beat).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(9_999)
    expect(beat).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(beat).toHaveBeenCalledTimes(2)
  })

  it('never has two beats at once: one that hangs delays the next', async () => {
    const hangs = deferred()
    let atOnce = 0
    let maxAtOnce = 0
    const beat = vi.fn(async () => {
      maxAtOnce = Math.max(maxAtOnce, ++atOnce)
      if (beat.mock.calls.length === 1) await hangs.promise
      atOnce--
    })
    const { heart } = setUp({ beat })
    heart.start()
    await vi.advanceTimersByTimeAsync(1_000)
    heart.stop()
    heart.start()
    const asked = [heart.now(), heart.now()]
    await vi.advanceTimersByTimeAsync(10_000)
    expect(beat).toHaveBeenCalledTimes(1)
    hangs.resolve()
    await Promise.all(asked)
    expect(beat).toHaveBeenCalledTimes(2)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(beat).toHaveBeenCalledTimes(3)
    expect(maxAtOnce).toBe(1)
  })

  it.each([
    ['rejects', () => Promise.reject(new Error('lost'))],
    [
      'throws',
      () => {
        throw new Error('lost')
      },
    ],
  ])('goes on after a beat that %s', async (_, beat) => {
    const { heart, onError } = setUp({ beat })
    heart.start()
    await vi.advanceTimersByTimeAsync(2_000)
    expect(onError.mock.calls).toEqual([[new Error('lost')], [new Error('lost')]])
    await heart.now()
    expect(onError).toHaveBeenCalledTimes(3)
  })

  it('beats at once when it is asked to, and counts the pause from there', async () => {
    const { heart, beat } = setUp()
    heart.start()
    await vi.advanceTimersByTimeAsync(900)
    await heart.now()
    await vi.advanceTimersByTimeAsync(999)
    expect(beat).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(beat).toHaveBeenCalledTimes(2)
  })

  it('ends for good with close, a beat that was under way included', async () => {
    const hangs = deferred()
    const beat = vi.fn(() => hangs.promise)
    const { heart } = setUp({ beat })
    heart.start()
    await vi.advanceTimersByTimeAsync(1_000)
    heart.close()
    const asked = heart.now()
    hangs.resolve()
    await asked
    heart.start()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(beat).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
  })
})
