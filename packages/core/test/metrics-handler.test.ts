import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { metrics } from '@opentelemetry/api'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMetricsHandler } from '../src/http/metrics-handler.js'
import { connect } from '../src/index.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  metrics.disable()
  await server.close()
})

const request = (token = 'right', method = 'GET') =>
  new Request('http://host/metrics', { method, headers: { authorization: token } })
const authorize = ({ headers }: Request) => headers.get('authorization') === 'right'

describe('metrics for Prometheus', () => {
  it('need a reader where the host has a provider of its own', async () => {
    const exporter = new PrometheusExporter({ preventServerStart: true })
    const answer = await createMetricsHandler({ authorize, reader: exporter })(request()).catch(
      () => 'unbound',
    )
    // A reader without a provider can't collect; the handler rejects instead of answering without metrics.
    expect(answer).toBe('unbound')
  })

  it('come from all connections that are open, with help, and to nobody else', async () => {
    const handler = createMetricsHandler({ authorize })
    const main = await connect({ url: server.url, name: 'main' })
    const other = await connect({ url: server.url, name: 'other' })
    await main.command(['SET', 'k', 'v'])
    await other.command(['GET', 'k'])
    const answer = await handler(request())
    expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4')
    const text = await answer.text()
    expect(text).toMatch(/^redis_operations_total\{.*connection="main".*operation="SET".*\} 1$/m)
    expect(text).toMatch(/^redis_connection_status\{.*connection="other".*status="up".*\} 1$/m)
    expect(text).toMatch(/^redis_operation_duration_seconds_count\{.*connection="other"/m)
    const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name)
    expect(names.length).toBeGreaterThan(5)
    for (const name of names) expect(text).toMatch(new RegExp(`^# HELP ${name} \\S`, 'm'))

    await other.close()
    const later = await (await handler(request())).text()
    expect(later).toContain('connection="main"')
    expect(later).not.toContain('connection="other"')
    await main.close()
    expect(await (await handler(request())).text()).not.toContain('connection=')

    expect((await handler(request('wrong'))).status).toBe(403)
    expect((await handler(request('right', 'POST'))).status).toBe(405)
    // A handler that is created again, as by a hot reload, reads the same provider.
    expect((await createMetricsHandler({ authorize })(request())).status).toBe(200)
  })

  it('are open to everybody only where that is said', () => {
    expect(() => createMetricsHandler({} as never)).toThrow(/^authorize: /)
    expect(() => createMetricsHandler({ authorize, path: '/metrics' } as never)).toThrow(/^path: /)
    expect(() => createMetricsHandler({ authorize, reader: {} as never })).toThrow(/^reader\.collect: /)
  })
})
