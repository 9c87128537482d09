import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDecoderPool, type DecoderPoolOptions } from '@evenkeel/decoder-pool'
import { probeHealth } from '@evenkeel/decoder-pool/http'
import { until } from '@evenkeel/test-servers'
import OpenAI from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import { main } from '../../../packages/cli/src/index.js'
import { fakeIo } from '../../../packages/cli/test/support.js'
import { type EngineShape, model, shapes } from './shapes.js'
import { type EngineStandIn, startEngine } from './stand-in.js'

const messages = [{ role: 'user' as const, content: 'hello' }]

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function engines(shape: EngineShape, count: number): Promise<readonly EngineStandIn[]> {
  const started = await Promise.all(Array.from({ length: count }, () => startEngine(shape)))
  ends.push(() => Promise.all(started.map((one) => one[Symbol.asyncDispose]())))
  return started
}

/** A pool of engines, and OpenAI's client in front of it. */
async function inFrontOf(nodes: readonly EngineStandIn[], options: DecoderPoolOptions = {}) {
  const pool = await createDecoderPool({ probe: false, slowStart: 0, ...options })
  ends.push(() => pool.close())
  for (const { endpoint } of nodes) await pool.register({ endpoint, capacity: 4 })
  const client = new OpenAI({ baseURL: 'http://pool/v1', apiKey: 'none', maxRetries: 0, fetch: pool.fetch() })
  const stateOf = ({ endpoint }: EngineStandIn) =>
    pool.status().nodes.find(({ node }) => node.endpoint === endpoint)
  return { pool, client, stateOf }
}

async function textOf(client: OpenAI): Promise<string> {
  let text = ''
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? ''
  }
  return text
}

describe.each(shapes)('$name', (shape) => {
  it('is asked for its health where it has that, and says what is wrong', async () => {
    const [engine] = await engines(shape, 1)
    if (engine === undefined) throw new Error('unreachable')
    const look = () => probeHealth({ endpoint: engine.endpoint, timeoutMs: 10_000 })
    expect(await look()).toMatchObject({ outcome: 'ok' })
    engine.state = 'dead'
    expect(await look()).toMatchObject({
      outcome: 'failed',
      reason: expect.stringMatching(/^50[23] from \//),
    })
    const probe = { interval: 20, timeout: '10s', adapters: false } as const
    const { stateOf } = await inFrontOf([engine], { probe })
    await until(() => stateOf(engine)?.state === 'unhealthy', 30_000)
    expect(stateOf(engine)?.verdict?.reason).toMatch(/^50[23] from \//)
    engine.state = 'ready'
    await until(() => stateOf(engine)?.healthy === true, 30_000)
    // Once its health path is known, no other is requested.
    const asked = engine.asked.length
    await until(() => engine.asked.length > asked + 4, 30_000)
    expect(new Set(engine.asked.slice(asked + 1))).toHaveProperty('size', 1)
  })

  it('is registered by the command once it is ready', async () => {
    const [engine] = await engines(shape, 1)
    if (engine === undefined) throw new Error('unreachable')
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-engine-'))
    ends.push(() => rmSync(folder, { recursive: true, force: true }))
    const file = join(folder, 'pool.json')
    const register = async () => {
      const seen = fakeIo()
      const flags = [
        '--endpoint',
        engine.endpoint,
        '--allow-http',
        '--timeout',
        '10s',
        '--file',
        file,
        '--json',
      ]
      const code = await main(['register-decoder', ...flags], seen.io)
      return { code, told: JSON.parse(seen.out.join('\n')) as unknown }
    }
    engine.state = 'dead'
    expect(await register()).toMatchObject({ code: 3, told: { registered: false } })
    engine.state = 'ready'
    expect(await register()).toMatchObject({ code: 0, told: { registered: true, way: 'file' } })
    expect(JSON.parse(readFileSync(file, 'utf8')).nodes).toMatchObject([{ endpoint: engine.endpoint }])
  })

  it('answers through the pool as it does by itself', async () => {
    const nodes = await engines(shape, 2)
    const { client, pool } = await inFrontOf(nodes)
    const { choices } = await client.chat.completions.create({ model, messages })
    expect(choices[0]?.message.content).toBe('one two')
    expect(await textOf(client)).toBe('one two')
    const listed = (await client.models.list()).data.map(({ id }) => id)
    expect(listed).toContain(model)
    const direct = new OpenAI({ baseURL: `${nodes[0]?.endpoint}/v1`, apiKey: 'none', maxRetries: 0 })
    const [right, given] = await Promise.all(
      [direct, client].map((one) =>
        one.chat.completions.create({ model: 'other', messages }).catch((error: unknown) => error),
      ),
    )
    expect(given).toBeInstanceOf(OpenAI.NotFoundError)
    expect(String(given)).toBe(String(right))
    expect(pool.stats()).toMatchObject({ inFlight: 0, ejections: { failures: 0, refusals: 0 } })
  })

  it('that is overloaded or fails is not the end of a request that may be repeated', async () => {
    const [bad, good] = await engines(shape, 2)
    if (bad === undefined || good === undefined) throw new Error('unreachable')
    for (const fate of ['overloaded', 'failed'] as const) {
      bad.fate = fate
      const { pool } = await inFrontOf([bad, good])
      const fetch = pool.fetch({ wanted: { idempotent: true } })
      const client = new OpenAI({ baseURL: 'http://pool/v1', apiKey: 'none', maxRetries: 0, fetch })
      for (let count = 0; count < 12; count++) {
        const { choices } = await client.chat.completions.create({ model, messages })
        expect(choices[0]?.message.content).toBe('one two')
      }
    }
  })

  it('that is overloaded is left alone for a moment, and not blamed', async () => {
    const [bad, good] = await engines(shape, 2)
    if (bad === undefined || good === undefined) throw new Error('unreachable')
    bad.fate = 'overloaded'
    const { pool, client, stateOf } = await inFrontOf([bad, good], { ejectAfter: 1 })
    // The engine has begun nothing, so even a request that may not be repeated goes elsewhere.
    for (let count = 0; count < 12; count++) {
      const { choices } = await client.chat.completions.create({ model, messages })
      expect(choices[0]?.message.content).toBe('one two')
    }
    // The official client's error drops SGLang's message.
    for (let count = 0; count < 12 && shape.name !== 'SGLang'; count++) {
      await pool.run((node, signal) => {
        const direct = new OpenAI({ baseURL: `${node.endpoint}/v1`, apiKey: 'none', maxRetries: 0 })
        return direct.chat.completions.create({ model, messages }, { signal })
      })
    }
    expect(bad.asked.filter((path) => path.includes('completions')).length).toBeGreaterThan(0)
    expect(pool.stats().ejections.failures).toBe(0)
    expect(stateOf(bad)?.ejected).toBe(false)
  })

  it('that fails in its answers is taken out for that, also when it had said 200', async () => {
    for (const fate of ['failed', 'stream-failure'] as const) {
      const [bad, good] = await engines(shape, 2)
      if (bad === undefined || good === undefined) throw new Error('unreachable')
      bad.fate = fate
      const { client, stateOf, pool } = await inFrontOf([bad, good], { ejectAfter: 2 })
      // After a failure the node gets fewer requests.
      for (let count = 0; count < 500 && stateOf(bad)?.state !== 'ejected'; count++) {
        await textOf(client).catch(() => {})
      }
      expect(stateOf(bad)?.state, fate).toBe('ejected')
      expect(stateOf(good)?.state, fate).toBe('serving')
      expect(pool.stats().ejections.failures, fate).toBe(1)
    }
  })
})
