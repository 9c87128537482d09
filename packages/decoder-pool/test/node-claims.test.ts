import { describe, expect, it } from 'vitest'
import { createCoordinatorHandler } from '../src/adapters/http.js'
import { checkNode, checkStoredNode, type NodeInput } from '../src/nodes/node.js'
import { useCoordinators } from './pools.js'

const { create } = useCoordinators()
const endpoint = 'http://10.0.0.7:8000'
const long = (count: number, length: number) =>
  Array.from({ length: count }, (_, index) => `${index}`.padEnd(length, 'x'))

describe('what a node says of itself is bounded', () => {
  it.each([
    ['capacity', { capacity: 9e15 }],
    ['weight', { weight: 9e15 }],
    ['model', { model: 'm'.repeat(513) }],
    ['tags', { tags: long(257, 4) }],
    ['adapters', { adapters: long(257, 4) }],
    ['tags[0]', { tags: ['t'.repeat(513)] }],
    ['node', { tags: long(200, 100) }],
    ['node', { adapters: ['é'.repeat(500), ...long(32, 500)] }],
    ['metadata', { metadata: { text: 'é'.repeat(5_000) } }],
    ['metadata', { metadata: { size: 1n } }],
    ['metadata', { metadata: { toJSON: () => undefined } }],
  ] as const)('%s', (field, said) => {
    expect(() => checkNode({ endpoint, ...said } as NodeInput)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', field }),
    )
  })

  it.each(['id', 'region', 'gpuType', 'model', 'version', 'healthPath'])(
    'a name of other letters: %s',
    (field) => {
      for (const name of ['a\nb', 'a\u0000', 'a\u001b[31m', 'a\u0085', 'a\u2028b', 'a\ud800']) {
        expect(() => checkNode({ endpoint, [field]: name }), JSON.stringify(name)).toThrow(
          expect.objectContaining({ field }),
        )
        const listed = { endpoint, tags: ['fine', name] }
        expect(() => checkNode(listed)).toThrow(expect.objectContaining({ field: 'tags[1]' }))
      }
      expect(checkNode({ endpoint, model: 'modèle 大 🙂', tags: ['a/b', 'ü'] }).model).toBe('modèle 大 🙂')
    },
  )

  it('and so is what a newer release has said of it', () => {
    expect(checkStoredNode({ endpoint, newer: 'x' } as NodeInput)).toMatchObject({ newer: 'x' })
    expect(() => checkStoredNode({ endpoint, newer: 'x'.repeat(20_000) } as NodeInput)).toThrow('16384')
  })

  it('also in what it adds to what is known, and nothing is lost by it', async () => {
    const pool = await create()
    const { id } = await pool.register({ endpoint, adapters: long(100, 100) })
    const more = { endpoint, metadata: { text: 'x'.repeat(8_000) } }
    await expect(pool.register(more)).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'node' })
    await expect(pool.report(id, { adapters: long(200, 100) })).rejects.toMatchObject({ field: 'node' })
    expect(pool.inspect(id)?.node.adapters).toHaveLength(100)
  })
})

describe('a coordinator that lets nodes in', () => {
  const ask = (path: string, method: string, as: string, body?: object) =>
    new Request(`http://pool/api${path}`, {
      method,
      headers: { 'x-node': as },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })

  it('lets each change what is its own, where the host says whose that is', async () => {
    const pool = await create()
    const handle = createCoordinatorHandler({
      pool,
      authorize: () => true,
      authorizeNode: (request, id) => {
        if (request.headers.get('x-node') === 'broken') throw new Error('no answer')
        return request.headers.get('x-node') === id
      },
    })
    const statusOf = async (...args: Parameters<typeof ask>) => (await handle(ask(...args))).status
    expect(await statusOf('/v1/register', 'POST', 'a', { id: 'a', endpoint })).toBe(201)
    expect(await statusOf('/v1/register', 'POST', 'b', { id: 'a', endpoint })).toBe(403)
    // A registration at its address would replace it.
    expect(await statusOf('/v1/register', 'POST', 'b', { id: 'b', endpoint })).toBe(403)
    expect(await statusOf('/v1/node/a/status', 'PUT', 'b', { draining: true })).toBe(403)
    expect(await statusOf('/v1/unregister/a', 'DELETE', 'b')).toBe(403)
    expect(await statusOf('/v1/unregister/a', 'DELETE', 'broken')).toBe(403)
    expect(pool.inspect('a')?.node.draining).toBe(false)
    expect(await statusOf('/v1/node/a/status', 'PUT', 'a', { draining: true })).toBe(200)
    expect(await statusOf('/v1/unregister/a', 'DELETE', 'a')).toBe(200)
  })

  it('lists them part by part, in an order that nothing can change', async () => {
    const pool = await create()
    const handle = createCoordinatorHandler({ pool, authorize: () => true })
    for (const id of ['d', 'b', 'a', 'c']) await pool.register({ id, endpoint: `http://10.0.0.1/${id}` })
    const listed = async (query: string) => {
      const answer = await handle(ask(`/status${query}`, 'GET', ''))
      const { nodes, next } = (await answer.json()) as { nodes: { node: { id: string } }[]; next?: string }
      return [nodes.map(({ node }) => node.id).join(''), next]
    }
    expect(await listed('')).toEqual(['abcd', undefined])
    expect(await listed('?limit=2')).toEqual(['ab', 'b'])
    await pool.deregister('b')
    expect(await listed('?limit=2&after=b')).toEqual(['cd', undefined])
    expect((await handle(ask('/status?limit=0', 'GET', ''))).status).toBe(400)
  })
})
