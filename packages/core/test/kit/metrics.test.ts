import { metrics } from '@opentelemetry/api'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { followMeter, observeMetrics } from '../../src/kit/index.js'
import { collector } from '../collector.js'

afterEach(() => {
  metrics.disable()
  vi.useRealTimers()
})

/** What was measured, by the metric's name. */
function measuring() {
  const { meterProvider, collectScopes } = collector()
  const collect = async () =>
    Object.fromEntries(
      (await collectScopes()).flatMap(({ scope, metrics: found }) =>
        found.map(({ descriptor: { name, unit }, dataPoints }) => [
          name,
          { scope: scope.name, unit, points: dataPoints.map(({ value, attributes }) => [value, attributes]) },
        ]),
      ),
    )
  return { meterProvider, collect }
}

const gauge = (observe: () => number) => ({ kind: 'gauge', description: 'what it is', observe }) as const

describe('observed metrics', () => {
  it('are read when they are collected, with their labels, units and the name of their package', async () => {
    const { meterProvider, collect } = measuring()
    let held = 3
    const stop = observeMetrics(
      '@evenkeel/test',
      { meterProvider },
      {
        evenkeel_test_held_bytes: { kind: 'gauge', description: 'held', unit: 'By', observe: () => held },
        evenkeel_test_calls_total: {
          kind: 'counter',
          description: 'calls',
          observe: () => [
            { value: 2, labels: { kind: 'a' } },
            { value: 5, labels: { kind: 'b' } },
          ],
        },
      },
    )
    held = 4
    expect(await collect()).toEqual({
      evenkeel_test_held_bytes: { scope: '@evenkeel/test', unit: 'By', points: [[4, {}]] },
      evenkeel_test_calls_total: {
        scope: '@evenkeel/test',
        unit: '',
        points: [
          [2, { kind: 'a' }],
          [5, { kind: 'b' }],
        ],
      },
    })
    stop()
  })

  it('are read no more after they were taken out', async () => {
    const { meterProvider, collect } = measuring()
    const observe = vi.fn(() => 1)
    const stop = observeMetrics('@evenkeel/test', { meterProvider }, { evenkeel_test: gauge(observe) })
    await collect()
    stop()
    stop()
    observe.mockClear()
    // A cumulative reader of the SDK keeps reporting the last values; only the callback can be checked.
    await collect()
    expect(observe).not.toHaveBeenCalled()
  })

  it('leave each other alone: one that throws is missing, the others are there', async () => {
    const { meterProvider, collect } = measuring()
    const stop = observeMetrics(
      '@evenkeel/test',
      { meterProvider },
      {
        evenkeel_test_broken: gauge(() => {
          throw new Error('a bug')
        }),
        evenkeel_test_whole: gauge(() => 1),
      },
    )
    const found = await collect()
    expect(found.evenkeel_test_whole?.points).toEqual([[1, {}]])
    expect(found.evenkeel_test_broken?.points ?? []).toEqual([])
    stop()
  })
})

describe('the provider of a meter', () => {
  it('is found when the host registers it, before or after, and everybody who waits gets it', async () => {
    const early = measuring()
    vi.useFakeTimers()
    const [first, second] = [vi.fn(() => () => {}), vi.fn(() => () => {})]
    const stops = [followMeter('first', true, first), followMeter('second', {}, second)]
    await vi.advanceTimersByTimeAsync(5_000)
    expect(first).not.toHaveBeenCalled()
    metrics.setGlobalMeterProvider(early.meterProvider)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(first).toHaveBeenCalledTimes(1)
    expect(second).toHaveBeenCalledTimes(1)
    expect(vi.getTimerCount()).toBe(0)
    const third = vi.fn(() => () => {})
    stops.push(followMeter('third', true, third))
    await vi.advanceTimersByTimeAsync(0)
    expect(third).toHaveBeenCalledTimes(1)
    for (const stop of stops) stop()
  })

  it('is looked for no more once nobody waits', async () => {
    vi.useFakeTimers()
    const attach = vi.fn(() => () => {})
    const stop = followMeter('left', true, attach)
    await vi.advanceTimersByTimeAsync(1_500)
    stop()
    expect(vi.getTimerCount()).toBe(0)
    metrics.setGlobalMeterProvider(collector().meterProvider)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(attach).not.toHaveBeenCalled()
  })

  it('is never asked for where metrics are off, and its metrics are taken out once', async () => {
    const attach = vi.fn(() => () => {})
    followMeter('off', false, attach)()
    const { meterProvider } = measuring()
    const detach = vi.fn()
    const stop = followMeter('on', { meterProvider }, () => detach)
    stop()
    expect(detach).toHaveBeenCalledTimes(1)
    expect(attach).not.toHaveBeenCalled()
  })

  it('may throw, as an incomplete one of a host does, without harm to the package', () => {
    const meterProvider = {
      getMeter() {
        throw new Error('a bug of the host')
      },
    }
    expect(() =>
      observeMetrics('@evenkeel/test', { meterProvider }, { evenkeel_test: gauge(() => 1) })(),
    ).not.toThrow()
  })
})
