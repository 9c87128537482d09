import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { inForm, libraries, project } from './harness/index.js'

/** A service that uses the whole family, with one client library, while the others are not installed. */
const service = `
import { createNoopMeter, metrics } from '@opentelemetry/api'
import * as core from '@evenkeel/core'
import * as limiting from '@evenkeel/rate-limiter'
import * as caching from '@evenkeel/llm-response-cache'
import * as remembering from '@evenkeel/agent-memory'
import * as pooling from '@evenkeel/decoder-pool'
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const failure = (promise) => promise.then(() => undefined, (error) => error)

/** Of which classes of ours an error is; a minifier may have given two of them the same short name. */
const errors = [core, limiting, caching, remembering, pooling].flatMap((one) =>
  Object.entries(one).filter(([, each]) => typeof each === 'function' && each.prototype instanceof Error))
const classesOf = (error) => errors.filter(([, each]) => error instanceof each).map(([name]) => name).sort()

async function main() {
  const logger = { info: () => {}, warn: () => {} }
  const redis = await core.connect({ url: process.env.REDIS, logger })
  const limits = { requests: limiting.slidingWindow(2, '1h') }
  const limiter = limiting.createRateLimiter({ redis, limits })
  const cache = caching.createResponseCache({ redis })
  const memory = remembering.createAgentMemory({ redis })
  const pool = await pooling.createDecoderPool({ redis, probe: false })
  const generate = cache.wrap(async (text) => ({ text }), { name: 'generate' })
  const thread = memory.owner('user:42').thread('chat')
  await pool.register({ id: 'node', endpoint: 'http://127.0.0.1:1', capacity: 1 })
  const round = async () => [
    redis.state,
    (await limiter.check('user:42')).source,
    (await generate.detailed('hello')).outcome,
    (await thread.append([{ role: 'user', content: 'hello' }])).status,
    await pool.run(async (node) => node.id),
  ]
  const rounds = [await round()]

  await redis.command(['SET', 'text', 'x'])
  const reply = await failure(redis.command(['INCR', 'text']))
  const input = await failure(redis.command(['GET', {}]))
  const after = redis.state

  // The host registers its provider of metrics when all is running.
  const meters = new Set()
  const meter = Object.create(createNoopMeter())
  metrics.setGlobalMeterProvider({ getMeter: (name) => (meters.add(name), meter) })
  for (let waited = 0; meters.size < 5 && waited < 30_000; waited += 50) await pause(50)

  process.kill(Number(process.env.REDIS_PID), 'SIGKILL')
  while (redis.state === 'up') {
    await failure(redis.command(['GET', 'x']))
    await pause(20)
  }
  const down = await failure(redis.command(['GET', 'x']))
  rounds.push(await round())
  await limiter.close()
  const closed = await failure(limiter.check('user:42'))
  for (const each of [pool, memory, cache, redis]) await each.close()
  const found = [reply, input, down, closed].map((error) => [error.name, error.code, classesOf(error)])
  console.log(JSON.stringify({ rounds, after, found, meters: [...meters].sort() }))
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
`

/** Each bundles a file into one file, minified; a library that is not installed must be no error. */
const bundlers = {
  esbuild: (input: string, output: string) => `
    import { build } from 'esbuild'
    await build({
      entryPoints: [${JSON.stringify(input)}],
      outfile: ${JSON.stringify(output)},
      bundle: true,
      minify: true,
      platform: 'node',
      format: 'cjs',
      logLevel: 'error',
    })`,
  webpack: (input: string, output: string) => `
    import { basename, dirname } from 'node:path'
    import webpack from 'webpack'
    const output = ${JSON.stringify(output)}
    const options = {
      mode: 'production',
      target: 'node',
      entry: ${JSON.stringify(input)},
      output: { path: dirname(output), filename: basename(output) },
    }
    const stats = await new Promise((resolve, reject) =>
      webpack(options, (error, done) => (error ? reject(error) : resolve(done))))
    if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }))`,
}

it.each([
  ['esbuild', 'esm', 'redis'],
  ['esbuild', 'cjs', 'ioredis'],
  ['webpack', 'esm', 'ioredis'],
  ['webpack', 'cjs', 'redis'],
] as const)(
  'a service that %s bundles and minifies (%s, with %s) goes on without Redis',
  async (tool, form, library) => {
    await using redis = await startRedis()
    const client = library === 'redis' ? libraries.redis6 : libraries.ioredis
    const app = await project(`bundles-${library}`, {
      dependencies: {
        '@opentelemetry/api': '1.9.0',
        esbuild: '0.28.2',
        webpack: '5.113.0',
        [library]: client,
      },
    })
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-bundle-'))
    try {
      const input = app.write(form === 'esm' ? 'service.mjs' : 'service.cjs', inForm(service, form))
      const output = join(folder, 'service.cjs')
      await app.node([app.write('bundle.mjs', bundlers[tool](input, output))], {
        stderr: 'allowed',
        timeoutMs: 300_000,
      })
      // There are no modules beside it, so all that it needs is in it.
      const { value } = await app.node([output], {
        env: { REDIS: redis.url, REDIS_PID: String(redis.pid) },
      })
      expect(value).toEqual({
        rounds: [
          ['up', 'redis', 'miss', 'stored', 'node'],
          ['down', 'memory', 'hit', 'journaled', 'node'],
        ],
        after: 'up',
        found: [
          ['ReplyError', 'REDIS_REPLY', ['EvenkeelError', 'ReplyError']],
          ['InvalidInputError', 'INVALID_INPUT', ['EvenkeelError', 'InvalidInputError']],
          ['UnavailableError', 'CONNECTION_DOWN', ['EvenkeelError', 'UnavailableError']],
          ['LimiterClosedError', 'CLOSED', ['EvenkeelError', 'LimiterClosedError']],
        ],
        meters: [
          '@evenkeel/agent-memory',
          '@evenkeel/core',
          '@evenkeel/decoder-pool',
          '@evenkeel/llm-response-cache',
          '@evenkeel/rate-limiter',
        ],
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
