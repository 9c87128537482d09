import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { connect } from '@evenkeel/core'
import {
  concurrency,
  createRateLimiter,
  fixedWindow,
  type Limit,
  slidingWindow,
  tokenBucket,
} from '@evenkeel/rate-limiter'
import { startRedis } from '@evenkeel/test-servers'

/**
 * What one more instance, subject and decision cost Redis: `pnpm limits:growth`. Costs are the server's own counts and
 * its CPU time, so that other load on the machine changes them little.
 */
const server = await startRedis()
const redis = await connect({ url: server.url })

console.log('\nOne more decision: microseconds of the server’s processor, alone in its call and 128 in one\n')
console.log('| limit | alone | of 128, one subject | of 128, as many subjects | full at, a second |')
console.log('| --- | ---: | ---: | ---: | ---: |')
const kinds: Readonly<Record<string, Limit>> = {
  'sliding window of 100, which denies most': slidingWindow(100, '1m'),
  'sliding window of 1,000,000': slidingWindow(1_000_000, '1m'),
  'fixed window': fixedWindow(1_000_000, '1m'),
  'token bucket': tokenBucket({ capacity: 1_000_000, refill: 1_000_000, every: '1m' }),
}
for (const [kind, limit] of Object.entries(kinds)) {
  const limiter = createRateLimiter({
    redis,
    name: `d-${kind.replace(/\W+/g, '-')}`,
    limits: { r: limit },
    stats: false,
    denialMemory: 0,
  })
  const alone = await serverUs(500, () => limiter.check('hot'))
  const hot = await serverUs(50, () => together((_) => limiter.check('hot')))
  const spread = await serverUs(50, () => together((index) => limiter.check(`user:${index}`)))
  const row = [alone, hot / 128, spread / 128]
  console.log(`| ${[kind, ...row.map(us), Math.round(1e6 / (spread / 128))].join(' | ')} |`)
  await limiter.close()
}

console.log(
  '\nOne more subject that is idle: bytes of all its keys, after one decision and after a thousand\n',
)
console.log('| limit | keys | after one | after a thousand |')
console.log('| --- | ---: | ---: | ---: |')
for (const [kind, limit] of Object.entries({ ...kinds, concurrency: concurrency(1_000, { lease: '10m' }) })) {
  const name = `s-${kind.replace(/\W+/g, '-')}`
  const limiter = createRateLimiter({ redis, name, limits: { r: limit }, stats: false, denialMemory: 0 })
  const ask =
    limit.kind === 'concurrency'
      ? () => limiter.reserve('user:12345')
      : () => limiter.check('user:12345').then(() => limiter.check('user:12345', { r: 0 }))
  await ask()
  const first = await bytesOf(`evenkeel:rate-limiter:${name}:{user:12345}:*`)
  for (let count = 1; count < 1_000; count++) await ask()
  const last = await bytesOf(`evenkeel:rate-limiter:${name}:{user:12345}:*`)
  console.log(`| ${[kind, last.keys, first.bytes, last.bytes].join(' | ')} |`)
  await limiter.close()
}

console.log('\nOne more instance that is idle: commands a second, and microseconds of the server\n')
console.log('| instances | commands a second | microseconds a command |')
console.log('| ---: | ---: | ---: |')
for (const count of [1, 4]) {
  const name = `i-${count}`
  const workers = Array.from({ length: count }, () => startInstance(server.url, name))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  // Their first beats come quickly, and then one every two seconds.
  await pause(5_000)
  const { calls, us: spent } = await beats(8_000)
  console.log(`| ${[count, (calls / 8).toFixed(2), us(spent / calls)].join(' | ')} |`)
  await Promise.all(workers.map((worker) => worker.terminate()))
}
for (const others of [100, 1_000, 10_000]) {
  const key = `evenkeel:rate-limiter:crowd-${others}:{instances}:members`
  const until = String(Date.now() + 3_600_000)
  for (let from = 0; from < others; from += 1_000) {
    const some = Array.from(
      { length: Math.min(1_000, others - from) },
      (_, index) => `instance-${from + index}`,
    )
    await redis.command(['ZADD', key, ...some.flatMap((id) => [until, id])])
  }
  const limiter = createRateLimiter({
    redis,
    name: `crowd-${others}`,
    limits: { r: slidingWindow(10, '1m') },
  })
  await limiter.peek('u')
  const { calls, us: spent } = await beats(5_000)
  console.log(`| ${[others + 1, '', us(spent / calls)].join(' | ')} |`)
  await limiter.close()
}

await redis.close()
await server.close()
process.exit(0)

function us(value: number): string {
  return value.toFixed(1)
}

function together(ask: (index: number) => Promise<unknown>): Promise<unknown> {
  return Promise.all(Array.from({ length: 128 }, (_, index) => ask(index)))
}

/** Microseconds of the server's CPU time for one run of `work`, after as many runs to warm up. */
async function serverUs(times: number, work: () => Promise<unknown>): Promise<number> {
  const run = async () => {
    for (let count = 0; count < times; count++) await work()
  }
  await run()
  const before = await processorUs()
  await run()
  return ((await processorUs()) - before) / times
}

/** The server's CPU time since its start. */
async function processorUs(): Promise<number> {
  const info = String(await server.command('INFO', 'cpu'))
  const seconds = ['used_cpu_sys', 'used_cpu_user'].map((name) =>
    Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]),
  )
  return seconds.reduce((sum, each) => sum + each * 1e6, 0)
}

/** The scripts that ran while no decision was asked for, and how long they took. */
async function beats(ms: number) {
  await server.command('CONFIG', 'RESETSTAT')
  await pause(ms)
  const stats = String(await server.command('INFO', 'commandstats'))
  const [, calls = 0, spent = 0] = /cmdstat_evalsha:calls=(\d+),usec=(\d+)/.exec(stats) ?? []
  return { calls: Number(calls), us: Number(spent) }
}

async function bytesOf(pattern: string) {
  const keys: string[] = []
  for await (const page of redis.scan(pattern)) keys.push(...page)
  let bytes = 0
  for (const key of keys) bytes += Number(await redis.command(['MEMORY', 'USAGE', key, 'SAMPLES', '0']))
  return { keys: keys.length, bytes }
}

/** Each thread is an instance: the limiters of a process are one by its globals, and a thread has its own globals. */
function startInstance(url: string, name: string): Worker {
  return new Worker(
    `
    const { parentPort } = require('node:worker_threads')
    void (async () => {
      const { connect } = await import('@evenkeel/core')
      const { createRateLimiter, slidingWindow } = await import('@evenkeel/rate-limiter')
      const redis = await connect({ url: ${JSON.stringify(url)} })
      const limiter = createRateLimiter({ redis, name: ${JSON.stringify(name)}, limits: { r: slidingWindow(100, '1m') } })
      await limiter.check('u')
      parentPort.postMessage('ready')
    })()`,
    { eval: true },
  )
}
