import { createClient, createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fairTime, flavours, type RedisCluster, slotOf, startCluster } from './index.js'

describe('slotOf', () => {
  it.each([
    ['123456789', 0x31c3],
    ['foo', 12_182],
    ['{user1000}.following', slotOf('user1000')],
    ['foo{}{bar}', 8_363],
    ['foo{{bar}}zap', slotOf('{bar')],
    ['foo{bar}{zap}', slotOf('bar')],
  ])('finds the slot of %s', (key, slot) => {
    expect(slotOf(key)).toBe(slot)
  })
})

describe.each(flavours())('startCluster with $name', (flavour) => {
  let cluster: RedisCluster
  const connect = async (url: string) => {
    const client = createClient({ url })
    await client.connect()
    return client
  }

  beforeAll(async () => {
    using time = fairTime()
    cluster = await startCluster({ flavour, password: 'secret' })
    expect(time.elapsedMs()).toBeLessThan(8_000)
  })

  afterAll(() => cluster.close())

  it('agrees with the server on slots', async () => {
    const [node] = cluster.nodes
    for (const key of ['a', '{a}b', 'ü', 'x{}y', 'a{b}c{d}']) {
      expect(await node?.command('CLUSTER', 'KEYSLOT', key)).toBe(slotOf(key))
    }
  })

  it('serves a cluster client on every slot', async () => {
    const client = createCluster({ rootNodes: [...cluster.nodes], defaults: { password: 'secret' } })
    await client.connect()
    for (let i = 0; i < 50; i++) expect(await client.set(`key:${i}`, String(i))).toBe('OK')
    const owner = await cluster.nodeFor('key:1')
    expect(await owner.command('GET', 'key:1')).toBe('1')
    await client.disconnect()
  })

  it('answers MOVED where a slot is not', async () => {
    const owner = await cluster.nodeFor('key')
    const [other] = cluster.nodes.slice(0, 3).filter((node) => node !== owner)
    const client = await connect(other?.url ?? '')
    await expect(client.get('key')).rejects.toThrow(`MOVED ${slotOf('key')} 127.0.0.1:${owner.port}`)
    await client.disconnect()
  })

  it('answers ASK and TRYAGAIN half-way through a move, and MOVED after it, with every key kept', async () => {
    const slot = slotOf('{move}')
    const from = await cluster.primaryOf(slot)
    const [to] = cluster.nodes.slice(0, 3).filter((node) => node !== from)
    if (!to) throw new Error('a cluster of one')
    const keys = Array.from({ length: 40 }, (_, i) => `{move}:${i}`)
    for (const key of keys) await from.command('SET', key, key)
    const client = await connect(from.url)

    const move = await cluster.beginMove(slot, to)
    expect(move.moved).toHaveLength(20)
    const [gone = ''] = move.moved
    const [here = ''] = keys.filter((key) => !move.moved.includes(key))
    expect(await client.get(here)).toBe(here)
    await expect(client.get(gone)).rejects.toThrow(`ASK ${slot} 127.0.0.1:${to.port}`)
    await expect(client.mGet([here, gone])).rejects.toThrow(/^TRYAGAIN/)

    await move.finish()
    await expect(client.get(here)).rejects.toThrow(/^MOVED/)
    expect(await cluster.primaryOf(slot)).toBe(to)
    for (const key of keys) expect(await to.command('GET', key)).toBe(key)

    await cluster.moveSlot(slot, from)
    expect(await client.get(gone)).toBe(gone)
    await client.disconnect()
  })

  it('promotes a replica when told to', async () => {
    const primary = await cluster.nodeFor('key')
    const [replica] = await cluster.replicasOf(primary)
    expect(await cluster.failover(primary)).toBe(replica)
    expect(await cluster.nodeFor('key')).toBe(replica)
    expect(await cluster.failover(primary)).toBe(primary)
  })

  it('replaces a killed primary by itself, and takes it back', async () => {
    const killed = await cluster.killPrimaryOf('key')
    await cluster.waitUntilOk()
    const promoted = await cluster.nodeFor('key')
    expect(promoted).not.toBe(killed)
    const client = await connect(promoted.url)
    expect(await client.set('key', 'value')).toBe('OK')
    await client.disconnect()
    await killed.restart()
    await cluster.waitUntilOk()
    expect(await killed.info('role')).toBe('slave')
  })
})
