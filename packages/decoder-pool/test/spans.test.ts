import { until } from '@evenkeel/test-servers'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, it } from 'vitest'
import { node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

async function tracedPool() {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const pool = await create({ name: 'main', ejectAfter: 1_000, telemetry: { spans: true, tracerProvider } })
  // OpenTelemetry is loaded asynchronously, and calls before that have no span.
  await until(async () => {
    await pool.renew('none')
    return exporter.getFinishedSpans().length > 0
  })
  exporter.reset()
  const spans = () => exporter.getFinishedSpans().map(({ name, attributes }) => ({ name, attributes }))
  return { pool, spans }
}

it('a request on the pool has a span, which says which node answered and how many were asked', async () => {
  const { pool, spans } = await tracedPool()
  for (const id of ['a', 'b']) await pool.register(node(id, { capacity: 4 }))
  const asked: string[] = []
  const before = spans().length
  await pool.run(
    async ({ id }) => {
      asked.push(id)
      if (asked.length === 1) throw new Error('broken')
      return id
    },
    { idempotent: true },
  )
  await expect(
    pool.run(async () => {
      throw Object.assign(new Error('no'), { code: 'REFUSED' })
    }),
  ).rejects.toThrow('no')
  const [run, failed] = spans().slice(before)
  expect(run).toEqual({
    name: 'decoder_pool run',
    attributes: {
      'evenkeel.decoder_pool.name': 'main',
      'evenkeel.decoder_pool.attempts': 2,
      'evenkeel.decoder_pool.node': asked[1],
      'server.address': expect.any(String),
    },
  })
  expect(failed).toMatchObject({ name: 'decoder_pool run', attributes: { 'error.type': 'REFUSED' } })
})

it('what changes the registry, and the wait for a node, have spans', async () => {
  const { pool, spans } = await tracedPool()
  await pool.register(node('a', { capacity: 1 }))
  await pool.renew('a')
  await pool.report('a', { running: 0 })
  ;(await pool.acquire()).release({ ok: true })
  await pool.drain('a')
  await pool.deregister('a')
  await expect(pool.acquire()).rejects.toMatchObject({ code: 'NO_NODE' })
  expect(spans().map(({ name, attributes }) => [name, attributes['error.type']])).toEqual([
    ['decoder_pool register', undefined],
    ['decoder_pool renew', undefined],
    ['decoder_pool report', undefined],
    ['decoder_pool acquire', undefined],
    ['decoder_pool drain', undefined],
    ['decoder_pool deregister', undefined],
    ['decoder_pool acquire', 'NO_NODE'],
  ])
})
