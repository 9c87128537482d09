import { monitorEventLoopDelay } from 'node:perf_hooks'
import { describe, expect, it } from 'vitest'
import { concurrency, slidingWindow, tokenBucket } from '../src/index.js'
import { useRedis } from './support.js'

const redis = useRedis()

/**
 * A clock that keeps its last reading. The limiter reads it just before it admits a waiting call, so the reading is the
 * time of admission, however late this process continues.
 */
class LastReading {
  atMs = 0
  now() {
    return Date.now()
  }
  monotonic() {
    this.atMs = performance.now()
    return this.atMs
  }
}

describe.each(['memory', 'redis'])('waiting in %s', (where) => {
  /** Waits for three times the limit. Returns, in the order of admission, the round in which each call was due. */
  async function admitTwelve(): Promise<readonly number[]> {
    const clock = new LastReading()
    const limiter = await redis.limiter(where, { limits: { r: slidingWindow(4, 200) }, clock })
    const admitted: { index: number; atMs: number }[] = []
    const askedAtMs = performance.now()
    await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        await limiter.wait('u', { r: 1 }, { timeout: '10s' })
        // The first four did not wait: they were admitted at some time after `askedAtMs`.
        admitted.push({ index, atMs: admitted.length < 4 ? askedAtMs : clock.atMs })
      }),
    )
    for (const [place, { atMs }] of admitted.entries()) {
      const fourLater = admitted[place + 4]
      // Redis counts whole milliseconds.
      if (fourLater !== undefined) expect(fourLater.atMs - atMs).toBeGreaterThan(195)
    }
    return admitted.map(({ index }) => Math.floor(index / 4))
  }

  it('admits in the order of arrival, and never above the limit', async () => {
    // A call that wakes 50 ms too late returns its booking and comes after the others. So only a run whose event loop
    // was not blocked for that long tells anything about the order.
    for (let run = 0; run < 20; run++) {
      const delay = monitorEventLoopDelay({ resolution: 1 })
      delay.enable()
      const rounds = await admitTwelve()
      delay.disable()
      if (delay.max / 1e6 > 30) continue
      expect(rounds).toEqual([...rounds].sort())
      return
    }
  })

  it('is an error at once, and charges nothing, when it would take too long', async () => {
    const limiter = await redis.limiter(where, { limits: { r: slidingWindow(1, '1m') } })
    await limiter.wait('u')
    const startedAt = performance.now()
    const failure = await limiter.wait('u', { r: 1 }, { timeout: '5s' }).catch((error: unknown) => error)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    expect(failure).toMatchObject({ code: 'RATE_LIMITED', decision: { limitedBy: 'r', allowed: false } })
    expect((failure as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(50_000)
    expect(limiter.stats().waiting).toBe(0)
  })

  it('gives back what was booked when the caller gives up', async () => {
    const limiter = await redis.limiter(where, {
      limits: { r: tokenBucket({ capacity: 2, refill: 1, every: 300 }) },
      denialMemory: 0,
    })
    await limiter.wait('u', { r: 2 })
    const giveUp = new AbortController()
    const waiting = limiter.wait('u', { r: 2 }, { timeout: '1m', signal: giveUp.signal })
    const second = limiter.wait('u', { r: 2 }, { timeout: 650 }).then(
      () => 'admitted',
      () => 'refused',
    )
    // The booking of the first call makes the second one wait too long.
    expect(await second).toBe('refused')
    giveUp.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow()
    await expect(limiter.wait('u', { r: 2 }, { timeout: 650 })).resolves.toMatchObject({ allowed: true })
  })

  it('refuses to queue more than maxQueue calls', async () => {
    const limiter = await redis.limiter(where, { limits: { r: slidingWindow(1, 400) }, maxQueue: 2 })
    await limiter.wait('u')
    const waiting = [limiter.wait('u'), limiter.wait('u')]
    await expect(limiter.wait('u')).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    await expect(Promise.all(waiting)).resolves.toHaveLength(2)
  })

  it('runs at most as many calls at once as there are slots, each in its turn', async () => {
    const limiter = await redis.limiter(where, {
      limits: { parallel: concurrency(2), r: slidingWindow(1_000, '1m') },
    })
    let running = 0
    let most = 0
    const started: number[] = []
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        limiter.run(
          'u',
          undefined,
          async () => {
            started.push(index)
            most = Math.max(most, ++running)
            await new Promise((resolve) => setTimeout(resolve, 30))
            running--
            return index
          },
          { timeout: '10s' },
        ),
      ),
    )
    expect(results).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(most).toBe(2)
    expect(started).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect((await limiter.peek('u', { r: 0 })).remaining).toBe(992)
  })

  it('settles what a run cost, and charges nothing for one that fails', async () => {
    const limiter = await redis.limiter(where, {
      limits: { tokens: slidingWindow(1_000, '1m'), parallel: concurrency(1) },
    })
    const left = async () => (await limiter.peek('u', { tokens: 0 })).remaining
    const answer = await limiter.run('u', { tokens: 500, parallel: 1 }, () => ({ used: 120 }), {
      actual: ({ used }) => ({ tokens: used }),
    })
    expect(answer).toEqual({ used: 120 })
    expect(await left()).toBe(880)
    const failing = limiter.run('u', { tokens: 500, parallel: 1 }, () => Promise.reject(new Error('no')))
    await expect(failing).rejects.toThrow('no')
    expect(await left()).toBe(880)
    await expect(limiter.run('u', { parallel: 1 }, () => 'free')).resolves.toBe('free')
  })

  it('gives up its place in line with the time or the signal', async () => {
    const limiter = await redis.limiter(where, { limits: { parallel: concurrency(1) }, denialMemory: 0 })
    const holder = await limiter.reserve('u')
    const giveUp = new AbortController()
    const aborted = limiter.run('u', undefined, () => 1, { signal: giveUp.signal, timeout: '1m' })
    const late = limiter.run('u', undefined, () => 2, { timeout: 100 })
    await expect(late).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    giveUp.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow()
    await holder.cancel()
    // The line is empty.
    expect((await limiter.reserve('u')).allowed).toBe(true)
  })

  it('leaves a part to others when its priority is low', async () => {
    const limiter = await redis.limiter(where, { limits: { r: slidingWindow(10, '1m') }, denialMemory: 0 })
    const low = () => limiter.check('u', { r: 4 }, { priority: 'low' })
    expect(await low()).toMatchObject({ allowed: true, remaining: 4 })
    expect((await low()).allowed).toBe(true)
    expect((await low()).allowed).toBe(false)
    expect((await limiter.check('u', { r: 2 })).allowed).toBe(true)
    await expect(limiter.check('u', { r: 9 }, { priority: 'low' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    await expect(limiter.check('u', { r: 1 }, { priority: 'mean' as 'low' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  })
})

describe('waiting at several instances', () => {
  it('is one line: all are admitted, together never above the limit', async () => {
    const clock = new LastReading()
    const instances = await redis.instances(4, { limits: { r: slidingWindow(5, 150) }, clock })
    const admitted: number[] = []
    const askedAtMs = performance.now()
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        await instances[index % 4]?.limiter.wait('u', { r: 1 }, { timeout: '10s' })
        admitted.push(admitted.length < 5 ? askedAtMs : clock.atMs)
      }),
    )
    for (const [place, atMs] of admitted.entries()) {
      const fiveLater = admitted[place + 5]
      if (fiveLater !== undefined) expect(fiveLater - atMs).toBeGreaterThan(145)
    }
  })

  it('hands a slot from one to the other without waiting for the next look', async () => {
    const instances = await redis.instances(2, { limits: { parallel: concurrency(1) } })
    const order: number[] = []
    const startedAt = performance.now()
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        instances[index % 2]?.limiter.run('u', undefined, () => void order.push(index), { timeout: '20s' }),
      ),
    )
    expect(order).toHaveLength(10)
    // With polling, ten calls would take ten seconds.
    expect(performance.now() - startedAt).toBeLessThan(4_000)
  })
})
