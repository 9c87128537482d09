import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DecoderPool } from '../src/index.js'
import { node, useCoordinators } from './pools.js'

const { join } = useCoordinators()
let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

const p99 = (delays: readonly number[]) => [...delays].sort((one, other) => one - other)[98] ?? 0

/** Milliseconds from the call of `act` until its effect is seen. */
async function delayOf(seen: (resolve: () => void) => void, act: () => Promise<unknown>): Promise<number> {
  const arrived = new Promise<void>(seen)
  const startedAt = performance.now()
  await act()
  await arrived
  return performance.now() - startedAt
}

describe('a change on one coordinator', () => {
  it('is seen on another within 50 ms, at the 99th percentile', async () => {
    const { pool: one, redis: here } = await join(server.url, { pollInterval: '1h' })
    const { pool: other, redis: there } = await join(server.url, { pollInterval: '1h' })
    let heard = () => {}
    await there.subscribe('bare', () => heard())
    const isAdded = (pool: DecoderPool, id: string) => (resolve: () => void) => {
      const stop = pool.on('change', ({ added }) => {
        if (!added.includes(id)) return
        stop()
        resolve()
      })
    }
    const delays: number[] = []
    const bare: number[] = []
    for (let index = 0; index < 100; index++) {
      const id = `n${index}`
      delays.push(await delayOf(isAdded(other, id), () => one.register(node(id))))
      // The time of a bare message at the same moment is the machine's, and no library can be faster.
      const isHeard = (resolve: () => void) => {
        heard = resolve
      }
      bare.push(await delayOf(isHeard, () => here.publish('bare', id)))
    }
    expect(p99(delays)).toBeLessThan(50 + p99(bare))
  })
})
