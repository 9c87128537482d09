import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { breakDisk, fillMemory, flavours, type RedisServer, startRedis } from './index.js'

describe.each(flavours())('faults of $name', (flavour) => {
  let server: RedisServer
  const connect = async () => {
    const client = createClient({ url: server.url })
    await client.connect()
    return client
  }
  let client: Awaited<ReturnType<typeof connect>>

  beforeAll(async () => {
    server = await startRedis({ flavour })
    client = await connect()
  })

  afterAll(async () => {
    await client.disconnect()
    await server.close()
  })

  it('fillMemory answers OOM to writes and values to reads, until undone', async () => {
    await client.set('key', 'value')
    const fault = await fillMemory(server)
    await expect(client.set('key', 'other')).rejects.toThrow(/^OOM/)
    expect(await client.get('key')).toBe('value')
    await fault.undo()
    expect(await client.set('key', 'other')).toBe('OK')
    expect(await server.command('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', '0'])
  })

  it('breakDisk answers MISCONF to writes and values to reads, until undone', async () => {
    await client.set('key', 'value')
    const fault = await breakDisk(server)
    await expect(client.set('key', 'other')).rejects.toThrow(/^MISCONF/)
    await expect(client.ping()).rejects.toThrow(/^MISCONF/)
    expect(await client.get('key')).toBe('value')
    await fault.undo()
    expect(await client.set('key', 'other')).toBe('OK')
    expect(await server.command('CONFIG', 'GET', 'save')).toEqual(['save', ''])
  })

  it('breakDisk gives back the data that had been saved', async () => {
    await using saving = await startRedis({ flavour, args: { save: '3600 1' } })
    await saving.command('SET', 'key', 'value')
    await saving.command('SAVE')
    const fault = await breakDisk(saving)
    await expect(saving.command('SET', 'key', 'other')).rejects.toThrow(/^MISCONF/)
    await fault.undo()
    await saving.kill()
    await saving.restart()
    expect(await saving.command('GET', 'key')).toBe('value')
  })
})
