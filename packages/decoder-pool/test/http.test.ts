import { describe, expect, it } from 'vitest'
import { type AddressPolicy, createCoordinatorHandler } from '../src/adapters/http.js'
import { node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

/** The members of answers that the tests check by name. */
interface Told {
  readonly node: { readonly id: string }
  readonly nodes: readonly unknown[]
}

async function scene(addresses: AddressPolicy = {}) {
  const pool = await create()
  const handle = createCoordinatorHandler({
    pool,
    addresses: { resolve: async () => ['10.0.0.7'], ...addresses },
    authorize: (request) => request.headers.get('authorization') === 'Bearer coordinator',
  })
  const ask = async (method: string, path: string, body?: unknown, authorization = 'Bearer coordinator') => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const init = { method, headers: { authorization }, ...(body === undefined ? {} : { body: text }) }
    const response = await handle(new Request(`http://localhost${path}`, init))
    return [response.status, (await response.json()) as Told] as const
  }
  return { pool, ask, handle }
}

describe('the paths of a coordinator', () => {
  it('register, show, change and remove a node', async () => {
    const { ask, pool } = await scene()
    const [status, body] = await ask('POST', '/api/v1/register', node('a', { region: 'eu' }))
    expect([status, body.node.id]).toEqual([201, 'a'])
    expect((await ask('POST', '/api/v1/register', node('a', { region: 'us' })))[0]).toBe(200)
    expect(await ask('GET', '/api/v1/node/a')).toMatchObject([200, { node: { region: 'us' }, healthy: true }])
    expect((await ask('GET', '/api/status'))[1].nodes).toHaveLength(1)
    await ask('PUT', '/api/v1/node/a/status', { load: 2, hot_adapters: ['en-de'], draining: true })
    expect(pool.status().nodes[0]?.node).toMatchObject({ adapters: ['en-de'], draining: true })
    expect(await ask('DELETE', '/api/v1/unregister/a')).toEqual([200, { removed: 'a' }])
    expect((await ask('DELETE', '/api/v1/unregister/a'))[0]).toBe(404)
    expect((await ask('GET', '/api/v1/node/a'))[0]).toBe(404)
  })

  it('know the names that other registries use', async () => {
    const { ask } = await scene()
    const body = { node_id: 'n', endpoint: 'https://n.internal:8000/', gpu_type: 'A100', hot_adapters: ['x'] }
    expect((await ask('POST', '/api/v1/register', body))[1].node).toMatchObject({
      id: 'n',
      endpoint: 'https://n.internal:8000',
      gpuType: 'A100',
      adapters: ['x'],
    })
  })

  it.each([
    ['not json', 'body'],
    ['[]', 'node'],
    [{}, 'endpoint'],
    [node('a', { capacity: -1 }), 'capacity'],
    [node('a', { tags: [1] }), 'tags[0]'],
  ])('refuse %j with the field', async (body, field) => {
    const { ask, pool } = await scene()
    expect(await ask('POST', '/api/v1/register', body)).toMatchObject([400, { field }])
    expect(pool.status().nodes).toEqual([])
  })

  it.each([
    'http://169.254.169.254/latest/meta-data',
    'http://[fe80::1]:80',
    'http://[::ffff:169.254.169.254]',
    'http://0.0.0.0:8000',
    'http://metadata.google.internal',
    'http://metadata.tencentyun.com',
    'http://[fd00:c1::a9fe:a9fe]',
    'http://100.100.100.200',
  ])('never make a coordinator call %s', async (endpoint) => {
    const { ask } = await scene()
    expect(await ask('POST', '/api/v1/register', { endpoint })).toMatchObject([400, { field: 'endpoint' }])
  })

  it('refuse a name that leads to such an address, and hosts and schemes that are not allowed', async () => {
    const rebound = await scene({ resolve: async () => ['10.0.0.1', '169.254.169.254'] })
    expect((await rebound.ask('POST', '/api/v1/register', node('a')))[0]).toBe(400)
    const strict = await scene({ hosts: ['*.internal'], schemes: ['https:'] })
    expect((await strict.ask('POST', '/api/v1/register', node('a')))[0]).toBe(400)
    expect((await strict.ask('POST', '/api/v1/register', { endpoint: 'https://a.evil.com' }))[0]).toBe(400)
    expect((await strict.ask('POST', '/api/v1/register', { endpoint: 'https://a.internal' }))[0]).toBe(201)
  })

  it('are closed to strangers, and say what they can’t do', async () => {
    const { ask } = await scene()
    expect((await ask('GET', '/api/status', undefined, 'Bearer x'))[0]).toBe(403)
    expect((await ask('GET', '/api/v1/register'))[0]).toBe(405)
    expect((await ask('GET', '/api/v2/register'))[0]).toBe(404)
    expect((await ask('POST', '/api/v1/register', { endpoint: 'x'.repeat(70_000) }))[0]).toBe(413)
    const failing = createCoordinatorHandler({
      pool: await create(),
      authorize: () => {
        throw new Error('no')
      },
    })
    expect((await failing(new Request('http://localhost/api/status'))).status).toBe(403)
    expect(() => createCoordinatorHandler({ authorize: undefined } as never)).toThrow('authorize')
  })
})

describe('a node’s own report', () => {
  it('counts in the choice, and fades', async () => {
    const pool = await create()
    await pool.register(node('a', { capacity: 10 }))
    await pool.register(node('b', { capacity: 10 }))
    expect(await pool.report('a', { running: 8, waiting: 1 })).toBe(true)
    const given = await Promise.all(Array.from({ length: 8 }, () => pool.acquire()))
    expect(given.map((lease) => lease.node.id)).toEqual(Array(8).fill('b'))
    expect(await pool.report('none', {})).toBe(false)
    await expect(pool.report('a', { running: -1 })).rejects.toMatchObject({ field: 'running' })
    await expect(pool.report('a', { adapters: 'x' as unknown as string[] })).rejects.toMatchObject({
      field: 'adapters',
    })
  })
})
