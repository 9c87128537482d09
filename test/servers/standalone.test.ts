import { existsSync } from 'node:fs'
import { createClient } from 'redis'
import { describe, expect, it } from 'vitest'
import { clientLibraries, flavours, startRedis, until } from './index.js'

describe.each(flavours())('startRedis with $name', (flavour) => {
  it('starts a server that its url reaches, and leaves nothing behind', async () => {
    const server = await startRedis({ flavour, password: 'p@ss' })
    const client = createClient({ url: server.url })
    await client.connect()
    expect(await client.set('key', 'ü')).toBe('OK')
    expect(await server.command('GET', 'key')).toBe('ü')
    await client.disconnect()
    await server.close()
    expect(() => process.kill(server.pid, 0)).toThrow('ESRCH')
    expect(existsSync(server.dir)).toBe(false)
  })

  it('speaks TLS with a certificate that its own authority vouches for', async () => {
    await using server = await startRedis({ flavour, tls: true })
    const client = createClient({ url: server.url, socket: { tls: true, ca: server.tls?.ca ?? '' } })
    await client.connect()
    expect(await client.ping()).toBe('PONG')
    await client.disconnect()
  })

  it('answers nothing while frozen, and everything after', async () => {
    await using server = await startRedis({ flavour })
    const client = createClient({ url: server.url })
    await client.connect()
    server.freeze()
    let answered = false
    const ping = client.ping().finally(() => {
      answered = true
    })
    const silence = until(() => answered, 300)
    await expect(silence).rejects.toThrow('not within')
    server.resume()
    expect(await ping).toBe('PONG')
    await client.disconnect()
  })

  it('keeps a running server’s data across a restart, and forgets it when asked', async () => {
    await using server = await startRedis({ flavour })
    const { port } = server
    await server.command('SET', 'key', 'value')
    await server.restart()
    expect(server.port).toBe(port)
    expect(await server.command('GET', 'key')).toBe('value')
    await server.restart({ empty: true })
    expect(await server.command('GET', 'key')).toBe(null)
  })

  it('keeps a killed server’s data when it appends them', async () => {
    await using server = await startRedis({ flavour, args: { appendonly: 'yes', appendfsync: 'always' } })
    await server.command('SET', 'key', 'value')
    await server.kill()
    expect(server.running).toBe(false)
    await server.restart()
    expect(await server.command('GET', 'key')).toBe('value')
  })
})

describe('startRedis', () => {
  it('takes configuration as a command line too', async () => {
    await using server = await startRedis({ args: ['--maxmemory', '123mb'] })
    expect(await server.command('CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', String(123 * 1024 ** 2)])
  })

  it('says what the server said when it does not start', async () => {
    await expect(startRedis({ args: { nonsense: 'yes' } })).rejects.toThrow(/nonsense/)
  })

  it('refuses a port that is taken instead of meeting another server there', async () => {
    await using server = await startRedis()
    await expect(startRedis({ port: server.port })).rejects.toThrow(/in use/i)
  })

  it('asks the server also after its password changed and its clients were killed', async () => {
    await using server = await startRedis({ password: 'one' })
    await server.command('CONFIG', 'SET', 'requirepass', 'two')
    await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'no')
    await until(async () => (await server.command('PING')) === 'PONG')
  })

  it('gives error replies as errors, and those in an array as values', async () => {
    await using server = await startRedis()
    await server.command('LPUSH', 'list', 'a')
    await expect(server.command('GET', 'list')).rejects.toMatchObject({ code: 'WRONGTYPE' })
    await server.command('MULTI')
    await server.command('GET', 'list')
    expect(await server.command('EXEC')).toEqual([expect.objectContaining({ code: 'WRONGTYPE' })])
  })

  it('starts many at once on ports of their own', async () => {
    const servers = await Promise.all(Array.from({ length: 12 }, () => startRedis()))
    expect(new Set(servers.map(({ port }) => port)).size).toBe(servers.length)
    await Promise.all(servers.map((server) => server.close()))
  })
})

describe.each(clientLibraries)('$name', (library) => {
  it('connects, sends, and closes although the server is frozen', async () => {
    await using server = await startRedis()
    const client = await library.createClient(server.url)
    await client.set('key', 'value')
    expect(await client.get('key')).toBe('value')
    expect(await library.send(client, 'APPEND', 'key', '!')).toBe(6)
    expect(await library.load()).toBeTypeOf('object')
    server.freeze()
    const lost = client.ping().catch(() => 'lost')
    await library.closeClient(client)
    server.resume()
    expect(await lost).toBe('lost')
    await until(async () => (await server.info('connected_clients')) === '1')
  })
})
