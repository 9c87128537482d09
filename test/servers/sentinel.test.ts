import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { fairTime, flavours, startSentinel, until } from './index.js'

describe.each(flavours())('startSentinel with $name', (flavour) => {
  it('starts replicas in sync, and sentinels that know each other', async () => {
    await using deployment = await startSentinel({ flavour, replicas: 2, password: 'secret' })
    const primary = await deployment.primary()
    const replicas = await deployment.replicas()
    expect(replicas).toHaveLength(2)
    const client = createClient({ url: primary.url })
    await client.connect()
    await client.set('key', 'value')
    expect(await client.sendCommand(['WAIT', '2', '2000'])).toBe(2)
    for (const replica of replicas) expect(await replica.command('GET', 'key')).toBe('value')
    await client.disconnect()
    for (const { url } of deployment.sentinelServers) {
      const sentinel = createClient({ url })
      await sentinel.connect()
      const address = await sentinel.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', deployment.name])
      expect(address).toEqual([primary.host, String(primary.port)])
      await sentinel.disconnect()
    }
  })

  it('fails over by itself in less than 6 s after the primary was killed, and takes it back as a replica', async () => {
    await using deployment = await startSentinel({ flavour })
    using time = fairTime()
    const killed = await deployment.killPrimary()
    const promoted = await until(async () => {
      const primary = await deployment.primary()
      return primary !== killed && (await primary.info('role')) === 'master' ? primary : undefined
    }, 10_000)
    expect(time.elapsedMs()).toBeLessThan(6_000)
    const client = createClient({ url: promoted.url })
    await client.connect()
    expect(await client.set('key', 'value')).toBe('OK')
    await client.disconnect()
    await killed.restart()
    await until(async () => (await killed.command('GET', 'key')) === 'value', 10_000)
  })

  it('fails over when told to, again and again, with nothing lost', async () => {
    await using deployment = await startSentinel({ flavour })
    const first = await deployment.primary()
    await first.command('SET', 'key', 'value')
    const client = createClient({ url: first.url })
    client.on('error', () => {})
    await client.connect()
    const second = await deployment.failover()
    expect(second).not.toBe(first)
    expect(await second.command('GET', 'key')).toBe('value')
    await until(() => client.isReady)
    await expect(client.set('key', 'other')).rejects.toThrow(/^READONLY/)
    expect(await deployment.failover()).toBe(first)
    await client.disconnect()
  })
})
