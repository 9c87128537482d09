import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool } from '@evenkeel/decoder-pool'
import { createCoordinatorHandler } from '@evenkeel/decoder-pool/http'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exitCodes, type Io, main } from '../src/index.js'
import { fakeIo as io } from './support.js'

const nowhere = 'http://127.0.0.1:9'
let folder: string
let node: { server: Server; endpoint: string; status: number }
let redis: RedisServer

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-cli-'))
  redis = await startRedis()
  const server = createServer((request, response) => {
    response.writeHead(request.url === '/health' ? node.status : 404).end()
  })
  node = { server, endpoint: await listen(server), status: 200 }
})
afterAll(async () => {
  node.server.close()
  await redis.close()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  node.status = 200
  await redis.command('FLUSHALL')
})

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Runs the command for a node that exists, with these flags, and resolves with the outcome. */
async function run(flags: readonly string[], own: Partial<Io> = {}) {
  const seen = io(own)
  const all = [
    'register-decoder',
    '--endpoint',
    node.endpoint,
    '--allow-http',
    '--timeout',
    '500ms',
    ...flags,
  ]
  return { code: await main(all, seen.io), out: seen.out.join('\n'), err: seen.err.join('\n') }
}

/** Which nodes a new coordinator on this Redis finds. */
async function inRedis(): Promise<readonly string[]> {
  const connection = await connect({ url: redis.url })
  const pool = await createDecoderPool({ redis: connection, probe: false })
  const endpoints = pool.status().nodes.map((one) => one.node.endpoint)
  await pool.close()
  await connection.close()
  return endpoints
}

describe('through the coordinator', () => {
  let pool: DecoderPool
  let server: Server
  let url: string

  beforeEach(async () => {
    pool = await createDecoderPool({ probe: false })
    const handle = createCoordinatorHandler({
      pool,
      authorize: (request) => request.headers.get('authorization') === 'Bearer t0ken',
      addresses: { hosts: ['127.0.0.1'] },
    })
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const body = chunks.length === 0 ? undefined : Buffer.concat(chunks)
      const { authorization = '' } = request.headers
      const answer = await handle(
        new Request(`http://localhost${request.url}`, {
          method: request.method ?? 'GET',
          headers: { authorization },
          ...(body === undefined ? {} : { body: new Uint8Array(body) }),
        }),
      )
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })
    url = await listen(server)
  })
  afterEach(async () => {
    server.closeAllConnections()
    server.close()
    await pool.close()
  })

  it('a node is registered with all that is said of it', async () => {
    const flags = [
      '--region',
      'eu',
      '--gpu-type',
      'A100',
      '--capacity',
      '100',
      '--tags',
      'a, b',
      '--adapters',
      'x',
    ]
    const { code, out } = await run([...flags, '--coordinator-url', url, '--coordinator-token', 't0ken'])
    expect([code, out]).toEqual([0, expect.stringMatching(/^registered .* through the coordinator$/)])
    expect(pool.status().nodes[0]?.node).toMatchObject({
      region: 'eu',
      gpuType: 'A100',
      capacity: 100,
      tags: ['a', 'b'],
      adapters: ['x'],
    })
  })

  it('a refusal is final, and what is wrong with the node is told', async () => {
    const api = ['--coordinator-url', url, '--redis-url', redis.url]
    expect(await run(api)).toMatchObject({ code: 4, err: expect.stringContaining('403') })
    expect(await inRedis()).toEqual([])
    const long = await run([...api, '--coordinator-token', 't0ken', '--model', 'm'.repeat(600)])
    expect(long).toMatchObject({ code: 2, err: expect.stringContaining('model') })
  })

  it('a node stays registered while it is kept, comes back, and goes when the process ends', async () => {
    let stop = () => {}
    const stopped = new Promise<void>((resolve) => {
      stop = resolve
    })
    const flags = ['--coordinator-url', url, '--coordinator-token', 't0ken', '--keep', '--renew', '30ms']
    const running = run(flags, { stopped: () => stopped })
    await until(() => pool.status().nodes.length === 1, 5_000)
    const [id = ''] = pool.status().nodes.map((one) => one.node.id)
    await pool.deregister(id)
    await until(() => pool.status().nodes.length === 1, 5_000)
    stop()
    expect((await running).code).toBe(0)
    expect(pool.status().nodes).toEqual([])
  })
})

describe('a coordinator behind a proxy', () => {
  const proxied = async (answers: readonly { status: number; headers?: Record<string, string> }[]) => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      const { status, headers } = answers[Math.min(asked.length, answers.length - 1)] ?? { status: 500 }
      asked.push(`${request.method} ${request.url}`)
      request.resume().on('end', () => {
        const body = status < 300 ? JSON.stringify({ node: { id: 'n1' } }) : '<html>'
        response.writeHead(status, headers).end(body)
      })
    })
    const url = await listen(server)
    return { url, asked, close: () => server.close() }
  }

  it('that asks to come again is asked again, when it says', async () => {
    const proxy = await proxied([
      { status: 429, headers: { 'retry-after': '0' } },
      { status: 503, headers: { 'retry-after-ms': '5' } },
      { status: 201 },
    ])
    const seen = await run(['--timeout', '5s', '--coordinator-url', proxy.url])
    expect([seen.code, seen.out]).toEqual([0, 'registered n1 through the coordinator'])
    expect(proxy.asked).toHaveLength(3)
    proxy.close()
  })

  it.each([
    ['asks to come again later than a step may take', { status: 429, headers: { 'retry-after': '3600' } }],
    ['knows no such path', { status: 404 }],
    ['is in trouble', { status: 502 }],
  ])('that %s is no refusal: the next way is tried', async (_, answer) => {
    const proxy = await proxied([answer])
    const seen = await run(['--coordinator-url', proxy.url, '--redis-url', redis.url])
    expect([seen.code, seen.out]).toEqual([0, expect.stringContaining('in Redis')])
    expect(seen.err).toContain(String(answer.status))
    expect(proxy.asked).toHaveLength(1)
    proxy.close()
  })

  it.each([401, 403, 409, 422])('whose answer is %i has refused', async (status) => {
    const proxy = await proxied([{ status }])
    const seen = await run(['--coordinator-url', proxy.url, '--redis-url', redis.url])
    expect(seen.code).toBe(status < 404 ? exitCodes.unreachable : exitCodes.usage)
    expect(await inRedis()).toEqual([])
    proxy.close()
  })
})

describe('in Redis', () => {
  it('a node is registered when the coordinator is down', async () => {
    const { code, out, err } = await run(['--coordinator-url', nowhere, '--redis-url', redis.url])
    expect(code).toBe(exitCodes.done)
    expect(out).toContain('in Redis')
    expect(err).toContain('api:')
    expect(await inRedis()).toEqual([node.endpoint])
  })

  it('is told to machines as one object', async () => {
    const { out } = await run(['--json'], {
      env: { REDIS_URL: redis.url, EVENKEEL_COORDINATOR_URL: nowhere },
    })
    expect(JSON.parse(out)).toMatchObject({
      registered: true,
      way: 'redis',
      endpoint: node.endpoint,
      failures: [expect.stringContaining('api')],
    })
  })
})

describe('in the file', () => {
  it('a node is registered when everything else is down, and taken out again', async () => {
    const file = join(folder, 'pool', 'nodes.json')
    let stop = () => {}
    const stopped = new Promise<void>((resolve) => {
      stop = resolve
    })
    const flags = [
      '--coordinator-url',
      nowhere,
      '--redis-url',
      'redis://127.0.0.1:9',
      '--file',
      file,
      '--keep',
    ]
    const running = run(flags, { stopped: () => stopped })
    await until(() => {
      try {
        return readFileSync(file, 'utf8').includes(node.endpoint)
      } catch {
        return false
      }
    }, 5_000)
    stop()
    expect(await running).toMatchObject({ code: 0, out: expect.stringContaining('in the file') })
    expect(JSON.parse(readFileSync(file, 'utf8')).nodes).toEqual([])
  })

  it('every way that failed is told, and nothing is claimed', async () => {
    // A file where a folder should be.
    const below = join(folder, 'taken', 'nodes.json')
    writeFileSync(join(folder, 'taken'), '')
    const { code, err, out } = await run(['--redis-url', 'redis://127.0.0.1:9', '--file', below, '--json'])
    expect(code).toBe(exitCodes.unreachable)
    expect(err).toMatch(/redis: [\s\S]*file: /)
    expect(JSON.parse(out)).toMatchObject({ registered: false })
  })
})

describe('nothing is registered', () => {
  it.each([503, 404])('of a node whose health is %i', async (status) => {
    node.status = status
    expect(await run(['--redis-url', redis.url])).toMatchObject({
      code: 3,
      err: expect.stringContaining(String(status)),
    })
    expect(await inRedis()).toEqual([])
    // Without the health check, the node is registered.
    expect(await run(['--redis-url', redis.url, '--no-health-check'])).toMatchObject({ code: 0 })
    expect(await inRedis()).toEqual([node.endpoint])
  })

  it('of a node whose own health check fails, wherever that is', async () => {
    expect(await run(['--redis-url', redis.url, '--health-path', '/elsewhere'])).toMatchObject({
      code: 3,
      err: expect.stringContaining('404 from /elsewhere'),
    })
    expect(await run(['--redis-url', redis.url, '--health-path', 'health'])).toMatchObject({ code: 2 })
  })

  it.each([
    ['--endpoint', 'https://u:c4nary@node.internal'],
    ['--endpoint', 'https://node.internal/?key=c4nary'],
    ['--endpoint', 'c4nary'],
    ['--coordinator-url', 'https://u:c4nary@coordinator.internal'],
    ['--coordinator-url', 'file:///c4nary'],
    ['--redis-url', 'c4nary'],
    ['--coordinator-token', 'x', 'c4nary'],
    ['--capacity', 'c4nary'],
    ['--redis-url', 'redis://u:c4nary@127.0.0.1:9'],
  ])('and no secret is repeated: %s %s', async (...flags) => {
    for (const json of [[], ['--json']]) {
      const seen = io()
      const before =
        flags[0] === '--endpoint' ? ['--file', 'x'] : ['--endpoint', node.endpoint, '--allow-http']
      const code = await main(['register-decoder', ...before, ...flags, ...json], seen.io)
      expect(code).not.toBe(exitCodes.done)
      expect([...seen.out, ...seen.err].join('\n')).not.toContain('c4nary')
    }
  })

  it.each([
    ['wrong flags', ['--timeout', '5'], exitCodes.usage],
    ['an unhealthy node', ['--health-path', '/elsewhere'], exitCodes.unhealthy],
    ['nobody to register with', [], exitCodes.unreachable],
  ] as const)('and machines are told so: %s', async (_, flags, code) => {
    const seen = await run(['--json', '--redis-url', 'redis://127.0.0.1:9', ...flags])
    expect(seen.code).toBe(code)
    expect(seen.out.split('\n')).toHaveLength(1)
    expect(JSON.parse(seen.out)).toMatchObject({ registered: false, error: expect.any(String) })
  })

  it('of a node that does not answer', async () => {
    const seen = io()
    const flags = ['register-decoder', '--endpoint', nowhere, '--allow-http', '--redis-url', redis.url]
    expect(await main(flags, seen.io)).toBe(exitCodes.unhealthy)
  })

  it.each([
    [['--capacity', '0'], 'capacity'],
    [['--capacity', '1.5'], 'capacity'],
    [['--colour', 'red'], 'colour'],
    [['--timeout', 'soon'], 'timeout'],
    [['--timeout', '5'], '5s, or 5ms'],
    [['--renew', '10'], '10s, or 10ms'],
    [['--redis-url', 'c4nary'], 'redis-url'],
  ])('with %j', async (flags, named) => {
    const { code, err } = await run(['--file', join(folder, 'x.json'), ...flags])
    expect([code, err]).toEqual([exitCodes.usage, expect.stringContaining(named)])
    expect(err).not.toContain('c4nary')
  })

  it('over http without a word, without a way, without an endpoint', async () => {
    for (const flags of [
      ['--endpoint', 'http://a.internal', '--file', 'x'],
      ['--endpoint', 'https://a.internal'],
      ['--file', 'x'],
      ['--endpoint', 'ftp://a.internal', '--file', 'x'],
    ]) {
      expect(await main(['register-decoder', ...flags], io().io)).toBe(exitCodes.usage)
    }
    expect(await main([], io().io)).toBe(exitCodes.usage)
    expect(await main(['unknown'], io().io)).toBe(exitCodes.usage)
    expect(await main(['--help'], io().io)).toBe(exitCodes.done)
    for (const asks of [
      ['register-decoder', '--help'],
      ['register-decoder', '-h'],
      ['help', 'register-decoder'],
    ]) {
      const seen = io()
      expect(await main(asks, seen.io)).toBe(exitCodes.done)
      expect(seen.out.join('\n')).toContain('--health-path')
    }
    expect(await main(['--version'], io().io)).toBe(exitCodes.done)
  })

  it('but a person is asked for what is missing', async () => {
    const asked: string[] = []
    const file = join(folder, 'asked.json')
    const ask = async (question: string) => {
      asked.push(question)
      return question.startsWith('Endpoint') ? node.endpoint : 'eu'
    }
    expect(await main(['register-decoder', '--allow-http', '--file', file], io({ ask }).io)).toBe(
      exitCodes.done,
    )
    expect(asked).toHaveLength(2)
    expect(JSON.parse(readFileSync(file, 'utf8')).nodes[0]).toMatchObject({ region: 'eu' })
  })
})
