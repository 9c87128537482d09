import { type Connection, connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

let server: RedisServer
let redis: Connection
beforeAll(async () => {
  server = await startRedis()
  redis = await connect({ url: server.url })
})
afterAll(async () => {
  await redis.close()
  await server.close()
})
beforeEach(() => server.command('FLUSHALL'))

const run = (...args: readonly string[]) => runCommand([...args, '--url', server.url, '--json'])

describe('evenkeel cache', () => {
  it('clears what a service has cached, when it is told to', async () => {
    const cache = createResponseCache({ redis })
    let calls = 0
    const ask = cache.wrap(async (question: string) => `${question} ${++calls}`, { name: 'ask' })
    expect([await ask('q'), await ask('q')]).toEqual(['q 1', 'q 1'])
    expect((await run('cache', 'clear')).code).toBe(exitCodes.usage)
    expect((await run('cache', 'clear', '--yes')).code).toBe(exitCodes.done)
    await expect.poll(() => ask('q')).toBe('q 2')
    await cache.close()
  })

  it('invalidates by tag, and counts', async () => {
    const cache = createResponseCache({ redis })
    let calls = 0
    const wrapped = cache.wrap(async (question: string) => `${question} ${++calls}`, { name: 'ask' })
    const ask = (question: string) => cache.with({ tags: ['prices'] }, () => wrapped(question))
    await ask('q')
    expect((await run('cache', 'invalidate', 'prices')).json()).toEqual({ invalidated: ['prices'] })
    await expect.poll(() => ask('q')).toBe('q 2')
    await cache.close()
    const { json } = await run('cache', 'stats')
    expect(json()).toMatchObject({ misses: expect.any(Number), byModel: expect.any(Object) })
  })
})

describe('evenkeel pool', () => {
  it('shows nodes, drains one and removes it, beside a coordinator', async () => {
    const pool = await createDecoderPool({ redis, name: 'llama', probe: false })
    await pool.register({ id: 'gpu-1', endpoint: 'http://127.0.0.1:1', capacity: 4, model: 'llama' })
    const status = async () =>
      (await run('pool', 'status', '--name', 'llama')).json() as {
        nodes: { id: string; state: string; capacity: number }[]
      }
    expect(await status()).toMatchObject({ nodes: [{ id: 'gpu-1', state: 'serving', capacity: 4 }] })
    expect((await run('pool', 'drain', 'gpu-1', '--name', 'llama')).json()).toEqual({
      node: 'gpu-1',
      left: 0,
    })
    await expect.poll(() => pool.pick()).toBeUndefined()
    expect(await status()).toMatchObject({ nodes: [{ state: 'draining' }] })
    expect((await run('pool', 'remove', 'gpu-1', '--name', 'llama')).code).toBe(exitCodes.usage)
    expect((await run('pool', 'remove', 'gpu-1', '--name', 'llama', '--yes')).code).toBe(exitCodes.done)
    expect(await status()).toMatchObject({ nodes: [] })
    await pool.close()
  })

  it('takes the endpoint of a node for its id, as operators have it at hand', async () => {
    const pool = await createDecoderPool({ redis, probe: false })
    const { id } = await pool.register({ endpoint: 'http://127.0.0.1:8001' })
    expect((await run('pool', 'drain', 'http://127.0.0.1:8001/')).code).toBe(exitCodes.done)
    await expect.poll(() => pool.pick()).toBeUndefined()
    expect((await run('pool', 'remove', 'http://127.0.0.1:8001', '--yes')).code).toBe(exitCodes.done)
    await expect.poll(() => pool.inspect(id)).toBeUndefined()
    await pool.close()
  })

  it('says which node it does not know', async () => {
    const { code, json } = await run('pool', 'drain', 'nobody')
    expect([code, json()]).toEqual([exitCodes.usage, { error: expect.stringContaining('nobody') }])
  })
})
