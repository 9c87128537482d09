import { expect, it } from 'vitest'
import { fixedWindow, slidingWindow, tokenBucket } from '../../limits.js'
import type { DecisionOptions } from '../../stores/port.js'
import type { LimitSteps } from './steps.js'

/** A decision about several limits or subjects, and what changes it. */
export function testDecisions(steps: LimitSteps): void {
  const { limitCost, ask, peek, decide, decideOne, single } = steps

  it('decides several limits at once: all are charged, or none', async () => {
    const requests = slidingWindow(2, '1m')
    const tokens = tokenBucket({ capacity: 100, refill: 100, every: '1m' })
    const both = (cost: number) => [limitCost(requests, 1, 'requests'), limitCost(tokens, cost, 'tokens')]
    expect((await ask('u', both(90))).allowed).toBe(true)
    const denied = await ask('u', both(20))
    expect(denied.allowed).toBe(false)
    expect(denied.results).toMatchObject([
      { allowed: true, remaining: 1 },
      { allowed: false, remaining: 10 },
    ])
    expect((await ask('u', both(10))).results).toMatchObject([
      { allowed: true, remaining: 0 },
      { allowed: true, remaining: 0 },
    ])
  })

  it('decides for several subjects at once: all are charged, or none', async () => {
    const limit = slidingWindow(2, '1m')
    const both = (mode?: DecisionOptions['mode']) =>
      decideOne({
        limitCosts: [
          { subject: 'user', name: 'requests', limit, cost: 1 },
          { subject: 'org', name: 'requests', limit, cost: 1 },
        ],
        options: mode && { mode },
      })
    await decide(limit, 1, 'org')
    expect((await both('peek')).outcome).toBe('allowed')
    expect((await both()).outcome).toBe('allowed')
    const denied = await both()
    expect(denied.outcome).toBe('denied')
    expect(denied.results[1]).toMatchObject({ allowed: false, remaining: 0 })
    expect((await decide(limit, 1, 'user')).results[0]?.remaining).toBe(0)
  })

  it('peeks without charging', async () => {
    const limit = slidingWindow(1, '1m')
    for (let count = 0; count < 3; count++) {
      expect((await peek('u', [limitCost(limit)])).allowed).toBe(true)
    }
    expect((await decide(limit, 1, 'u')).allowed).toBe(true)
    expect((await peek('u', [limitCost(limit)])).allowed).toBe(false)
  })

  it('keeps subjects apart, whatever is in their names', async () => {
    const limit = slidingWindow(1, '1m')
    const subjects = ['a', 'a:requests', '{a}', '}{', 'ü\u0000\n', '*', '%7Ba%7D']
    for (const subject of subjects) expect((await decide(limit, 1, subject)).allowed).toBe(true)
    for (const subject of subjects) expect((await decide(limit, 1, subject)).allowed).toBe(false)
  })

  it('forgets a subject when told to', async () => {
    const limits = [
      limitCost(slidingWindow(1, '1m')),
      limitCost(tokenBucket({ capacity: 1, refill: 1, every: '1h' }), 1, 'b'),
    ]
    await ask('u', limits)
    expect((await ask('u', limits)).allowed).toBe(false)
    await steps.store.reset(limits.map((one) => ({ ...one, subject: 'u' })))
    expect((await ask('u', limits)).allowed).toBe(true)
  })

  it('applies a changed limit to what was charged before', async () => {
    await decide(slidingWindow(5, '1m'), 4)
    expect(await single(slidingWindow(3, '1m'), 0)).toMatchObject({ allowed: false, remaining: 0 })
    expect((await decide(slidingWindow(6, '1m'), 2)).allowed).toBe(true)
  })

  it('shows no debt as remaining units after a capacity was lowered', async () => {
    await decide(tokenBucket({ capacity: 10, refill: 1, every: '1m' }), 8)
    const lowered = tokenBucket({ capacity: 5, refill: 1, every: '1m' })
    expect(await single(lowered)).toMatchObject({ allowed: false, remaining: 0, retryAfterMs: 240_000 })
  })

  it.each([
    [128, 129],
    [129, 128],
  ])('lets charges leave a busy window in time after its limit went from %i to %i', async (before, after) => {
    await decide(slidingWindow(before, '1m'))
    for (let count = 0; count < 40; count++) {
      steps.clock.advance(6_000)
      await decide(slidingWindow(after, '1m'), 5)
    }
    const { remaining = 0 } = (await single(slidingWindow(after, '1m'), 0)) ?? {}
    expect(remaining).toBeGreaterThanOrEqual(after - 11 * 5)
    expect(remaining).toBeLessThanOrEqual(after - 10 * 5)
  })

  it('admits exactly the limit when many race for it', async () => {
    const limit = slidingWindow(10, '1m')
    const decisions = await Promise.all(Array.from({ length: 50 }, () => decide(limit)))
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(10)
  })

  it('survives a clock that steps back', async () => {
    const limit = slidingWindow(2, '1m')
    const bucket = tokenBucket({ capacity: 2, refill: 1, every: '1m' })
    const limitCosts = [limitCost(limit), limitCost(bucket, 1, 'b')]
    await ask('u', limitCosts)
    steps.clock.advance(-30_000)
    expect((await ask('u', limitCosts)).allowed).toBe(true)
    expect((await ask('u', limitCosts)).allowed).toBe(false)
  })

  it('leaves a part of each limit to those who matter more', async () => {
    const limit = slidingWindow(10, '1m')
    const low = () => ask('u', [limitCost(limit, 4)], { perMille: 800 })
    expect((await low()).results[0]).toMatchObject({ allowed: true, remaining: 4 })
    expect((await low()).allowed).toBe(true)
    expect((await low()).allowed).toBe(false)
    expect((await ask('u', [limitCost(limit, 2)])).allowed).toBe(true)
  })

  it('denies everything to a blocked subject', async () => {
    const limit = slidingWindow(10, '1m')
    await steps.store.block([{ subject: 'u', name: 'requests', limit }], 60_000)
    const { outcome, blockedForMs } = await ask('u', [limitCost(limit)])
    expect(outcome).toBe('denied')
    expect(blockedForMs).toBeGreaterThan(50_000)
    expect((await decide(limit, 1, 'other')).allowed).toBe(true)
    await steps.store.block([{ subject: 'u', name: 'requests', limit }], 0)
    expect((await ask('u', [limitCost(limit, 10)])).allowed).toBe(true)
  })

  it('learns that less remains than it thought, and never more', async () => {
    const limits = [
      slidingWindow(100, '1m'),
      fixedWindow(100, '1h', { align: 'first-use' }),
      tokenBucket({ capacity: 100, refill: 100, every: '1h' }),
    ]
    for (const [index, limit] of limits.entries()) {
      const limitKey = { subject: 'u', name: `l${index}`, limit }
      const remaining = async () =>
        (await peek('u', [limitCost(limit, 0, `l${index}`)])).results[0]?.remaining
      await steps.store.learn([{ ...limitKey, remaining: 30, resetMs: 20_000 }])
      expect(await remaining()).toBe(30)
      await steps.store.learn([{ ...limitKey, remaining: 90, resetMs: 20_000 }])
      expect(await remaining()).toBe(30)
    }
    steps.clock.advance(20_000)
    const window = limitCost(limits[0] ?? slidingWindow(1, 1), 0, 'l0')
    expect((await peek('u', [window])).results[0]?.remaining).toBe(100)
  })
}
