import { readdirSync, readFileSync } from 'node:fs'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect } from '../src/index.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

const commands = async () => Number(await server.info('total_commands_processed'))

it('a monitor that looks every 60 days looks once', async () => {
  await using redis = await connect({ url: server.url, healthCheckInterval: '60d' })
  const first = new Promise<void>((resolve) => redis.on('health', () => resolve()))
  await first
  const before = await commands()
  await new Promise((resolve) => setTimeout(resolve, 300))
  // The two INFO commands of this test itself.
  expect((await commands()) - before).toBeLessThanOrEqual(2)
})

it('a deadline that no timer holds is refused', async () => {
  await using redis = await connect({ url: server.url })
  for (const timeoutMs of [2 ** 31, Number.POSITIVE_INFINITY, Number.NaN, '1s' as unknown as number]) {
    await expect(redis.command(['GET', 'k'], { timeoutMs })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      field: 'timeoutMs',
    })
  }
  expect(await redis.command(['GET', 'k'], { timeoutMs: 2 ** 31 - 1 })).toBeNull()
})

it('no source gives a number of the host to a timer of Node', () => {
  const root = new URL('../src/', import.meta.url)
  // Durations in these files are constants, or bounded when the options are checked (10 minutes).
  const bounded = [
    'clients/sharded-subscriber.ts',
    'clients/valkey-glide/client.ts',
    'clients/valkey-glide/subscriber.ts',
    'connection/liveness.ts',
    'connection/offline-queue.ts',
    'connection/pub-sub.ts',
    'failover/failover.ts',
    'guard/deadline-queue.ts',
    'health/outage-notice.ts',
    'kit/timers.ts',
    'telemetry/meter.ts',
    'topology/borrowed.ts',
    'topology/owned.ts',
    'topology/sentinel.ts',
  ]
  const users = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => /\bset(?:Timeout|Interval)\(/.test(readFileSync(new URL(name, root), 'utf8')))
  expect(users.sort()).toEqual(bounded)
})
