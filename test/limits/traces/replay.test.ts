import { connect, ManualClock } from '@evenkeel/core'
import { MemoryLimitStore, RedisLimitStore } from '@evenkeel/rate-limiter/store'
import { startRedis } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { type Arrival, byExactLog, byStore, halfOfPeak, mostAdmissible, replay } from './replay.js'

/** Ten minutes by a fixed rule: a calm stream of small requests, and bursts of large ones. */
const arrivals: readonly Arrival[] = Array.from({ length: 3_000 }, (_, index) => {
  const isBurst = index % 300 < 120
  return {
    // A burst starts anywhere in its minute.
    atMs:
      Math.floor(index / 300) * 60_000 +
      (isBurst ? ((Math.floor(index / 300) * 17_311) % 40_000) + (index % 300) * 40 : (index % 300) * 190),
    tokens: isBurst ? 900 + (index % 7) * 150 : 80 + (index % 11) * 20,
  }
}).sort((one, other) => one.atMs - other.atMs)
const budget = halfOfPeak(arrivals)

describe('a trace at half of its peak', () => {
  it.each([0, 30_000])(
    'is admitted as an exact log would, in memory as on Redis: waiting up to %i ms',
    async (wait) => {
      await using server = await startRedis()
      await using redis = await connect({ url: server.url })
      const [one, other] = [new ManualClock(), new ManualClock()]
      const memory = new MemoryLimitStore({ clock: one })
      const onRedis = new RedisLimitStore(redis, { name: 'trace', now: () => other.now() })
      const ours = await replay(arrivals, byStore(memory, one, budget, wait))
      expect(await replay(arrivals, byStore(onRedis, other, budget, wait))).toEqual(ours)
      const exact = await replay(arrivals, byExactLog(budget, wait))
      // A slot is held up to a sixtieth of the window longer than the log holds a request.
      expect(ours.admittedTokens / exact.admittedTokens).toBeGreaterThan(0.95)
      expect(ours.refused).toBeGreaterThan(0)
      if (wait > 0) expect(ours.delayed).toBeGreaterThan(0)
      else expect(exact.admitted).toBeLessThanOrEqual(mostAdmissible(arrivals, budget))
    },
  )
})
