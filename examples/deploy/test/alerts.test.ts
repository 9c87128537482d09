import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGateway, type Gateway } from '../../gateway/src/server/gateway.js'
import { createOperatorServer } from '../../gateway/src/server/server.js'
import { type Prometheus, startPrometheus } from './prometheus-server.js'

let redis: RedisServer
let gateway: Gateway
let server: Server
let prometheus: Prometheus
let traffic: NodeJS.Timeout
beforeAll(async () => {
  redis = await startRedis({ args: { maxmemory: '16mb', 'maxmemory-policy': 'noeviction' } })
  gateway = await createGateway({ redisUrl: redis.url })
  server = createOperatorServer(gateway)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  prometheus = await startPrometheus(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  // The gateway notices that Redis is frozen only when it sends Redis a command.
  traffic = setInterval(() => void gateway.limiter.check('key:a', { requests: 1, tokens: 1 }), 50)
})
afterAll(async () => {
  clearInterval(traffic)
  await prometheus?.close()
  await new Promise((resolve) => server?.close(resolve))
  await gateway?.close()
  await redis?.close()
})

/** Long enough for a slow machine; on an idle one an alert takes two or three seconds. */
const patience = { timeout: 40_000, interval: 100 }
const isFiring = (alert: string) => async () => (await prometheus.firing()).includes(alert)
const fires = (alert: string) => expect.poll(isFiring(alert), patience).toBe(true)
const clears = (alert: string) => expect.poll(isFiring(alert), patience).toBe(false)

describe('alerts of a real Prometheus that scrapes a gateway', () => {
  it('none of Redis fires while all is well', async () => {
    const up = 'redis_connection_status{status="up"}'
    await expect.poll(() => prometheus.query(up), patience).toBe(1)
    await expect
      .poll(() => prometheus.query('evenkeel_redis_memory_limit_bytes'), patience)
      .toBe(16 * 1024 * 1024)
    // By then Prometheus has evaluated the rules for longer than any `for`, so every alert whose condition holds fires.
    await expect.poll(() => prometheus.query(`count_over_time(${up}[1m])`), patience).toBeGreaterThan(5)
    expect((await prometheus.firing()).filter((name) => name.startsWith('EvenkeelRedis'))).toEqual([])
  })

  it('Redis is filled', async () => {
    for (let key = 0; key < 13; key++) await redis.command('SET', `filling:${key}`, 'x'.repeat(1_000_000))
    await fires('EvenkeelRedisMemoryHigh')
    for (let key = 0; key < 13; key++) await redis.command('DEL', `filling:${key}`)
    await clears('EvenkeelRedisMemoryHigh')
  })

  it('Redis is frozen', async () => {
    await clears('EvenkeelRedisDown')
    redis.freeze()
    await fires('EvenkeelRedisDown')
    await fires('EvenkeelFallbackActive')
    redis.resume()
    await clears('EvenkeelRedisDown')
    await clears('EvenkeelFallbackActive')
  })

  it('Redis is killed, and starts again', async () => {
    await redis.kill()
    await fires('EvenkeelRedisDown')
    await redis.restart()
    await clears('EvenkeelRedisDown')
    await clears('EvenkeelFallbackActive')
  })
})
