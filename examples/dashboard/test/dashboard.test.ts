import { until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Snapshot } from '../src/snapshot.js'
import { type RunningDashboard, startDashboard } from './start.js'

let dashboard: RunningDashboard
beforeAll(async () => {
  dashboard = await startDashboard()
})
afterAll(() => dashboard.stop())

/** Reads the page's snapshots and resolves with the first one that `enough` accepts. */
async function watch(enough: (snapshot: Snapshot) => boolean): Promise<Snapshot> {
  const response = await fetch(`${dashboard.url}/live`)
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true })
    const events = text.split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const snapshot = JSON.parse(event.replace(/^data: /, '')) as Snapshot
      if (enough(snapshot)) return snapshot
    }
  }
  throw new Error('The stream ended')
}

function act(path: string, origin = dashboard.url): Promise<Response> {
  return fetch(`${dashboard.url}/actions/${path}`, { method: 'POST', headers: { origin } })
}

describe('the dashboard', () => {
  it('shows callers being answered, and every package on Redis', async () => {
    const { stores, callers, decoders } = await watch(
      // On a busy machine a store may be on memory for a moment.
      ({ callers, cache, stores }) =>
        callers.answered > 20 &&
        cache.hitRatio > 0 &&
        Object.values(stores).every((state) => state === 'primary'),
    )
    expect(stores).toEqual({ limiter: 'primary', cache: 'primary', memory: 'primary', pool: 'primary' })
    expect(callers.failed).toBe(0)
    expect(decoders.map(({ id, state }) => [id, state])).toEqual([
      ['decoder-1', 'serving'],
      ['decoder-2', 'serving'],
      ['decoder-3', 'serving'],
      ['decoder-slow', 'serving'],
    ])
  })

  it('shows a frozen Redis as an outage that no caller notices, and its return', async () => {
    expect((await act('freeze')).status).toBe(200)
    // The timeline is written a moment after the states have changed.
    const away = await watch(
      ({ stores, timeline }) =>
        Object.values(stores).every((state) => state === 'fallback') &&
        timeline.some(({ text }) => text === 'The rate limiter answers from memory'),
    )
    expect(away.redis.server).toBe('frozen')
    expect((await act('return')).status).toBe(200)
    const back = await watch(
      ({ stores, timeline }) =>
        Object.values(stores).every((state) => state === 'primary') &&
        timeline.some(({ text }) => text === 'Agent memory is on Redis again'),
    )
    expect(back.callers.failed).toBe(0)
    expect(back.timeline.map(({ text }) => text)).toEqual(
      expect.arrayContaining([
        'You froze Redis (SIGSTOP)',
        'The rate limiter answers from memory',
        'You brought Redis back',
        'Agent memory is on Redis again',
      ]),
    )
  })

  it('has health and metrics for operators, which say the same of an outage', async () => {
    const ask = async (path: string) => (await fetch(`${dashboard.url}${path}`)).text()
    const up = /^redis_connection_status\{.*status="up".*\} 1/m
    await until(async () => up.test(await ask('/metrics')), 20_000)
    expect(JSON.parse(await ask('/health'))).toEqual({ status: 'healthy' })
    expect((await act('kill')).status).toBe(200)
    await until(async () => JSON.parse(await ask('/health')).status === 'degraded', 20_000)
    await until(async () => /^evenkeel_fallback_active\{.*\} 1/m.test(await ask('/metrics')), 20_000)
    expect((await act('return')).status).toBe(200)
    await watch(({ stores }) => Object.values(stores).every((state) => state === 'primary'))
    await until(async () => up.test(await ask('/metrics')), 20_000)
  })

  it('finds a decoder that hangs, and takes it back', async () => {
    const stateOf = ({ decoders }: Snapshot) => decoders.find(({ id }) => id === 'decoder-2')?.state
    expect((await act('hang/decoder-2')).status).toBe(200)
    await watch((snapshot) => stateOf(snapshot) !== 'serving')
    expect((await act('wake/decoder-2')).status).toBe(200)
    await watch((snapshot) => stateOf(snapshot) === 'serving')
  })

  it('refuses what can not be done, and what another site asks for', async () => {
    expect((await act('return')).status).toBe(409)
    expect((await act('hang/decoder-99')).status).toBe(409)
    expect((await act('nonsense')).status).toBe(409)
    expect((await act('kill', 'https://elsewhere.example')).status).toBe(403)
  })
})
