import { connect } from '@evenkeel/core'
import { startProxy, startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { VerdictExchange } from '../src/health/verdict-exchange.js'
import { resolveOptions } from '../src/options.js'
import { RedisHealthStore } from '../src/store.js'

const events = { news: () => {}, ejected: () => {} }
const longMs = 600_000

it('a permit that was given back while Redis was away is free for others when it is back', async () => {
  await using server = await startRedis()
  await using proxy = await startProxy(server)
  await using cutOff = await connect({ url: proxy.url })
  await using direct = await connect({ url: server.url })
  const exchange = new VerdictExchange(
    resolveOptions({ redis: cutOff, name: 'permits', probe: false }),
    'one',
    events,
  )
  await exchange.start()
  const others = new RedisHealthStore(direct, 'permits')
  expect(await exchange.takeTrial('node', longMs)).toBe(true)
  expect(await others.takeTrial('node', 'other', longMs)).toBe(false)
  await proxy.refuse()
  await until(() => !exchange.isShared, 10_000)
  await exchange.giveTrial('node')
  await proxy.restore()
  await until(() => others.takeTrial('node', 'other', longMs), 30_000)
  await exchange.close()
})
