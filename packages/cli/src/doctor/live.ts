import { randomUUID } from 'node:crypto'
import { createAgentMemory } from '@evenkeel/agent-memory'
import { type Connection, createKeyValueStore, lock } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type Finding, failure, ok } from './finding.js'

interface LiveTest {
  readonly check: string
  /** What this trial does. */
  readonly name: string
  /** Uses keys of its own and removes them. @throws if Redis did not do its part */
  run(redis: Connection, id: string): Promise<void>
}

const tests: readonly LiveTest[] = [
  { check: 'core', name: 'setting a key, taking a lock and sending a message', run: tryCore },
  { check: 'rate-limiter', name: 'counting a limit', run: tryLimiter },
  { check: 'llm-response-cache', name: 'keeping a cached value', run: tryCache },
  { check: 'agent-memory', name: 'keeping a conversation', run: tryMemory },
  { check: 'decoder-pool', name: 'registering a node', run: tryPool },
]

/** Uses each package as a service does, on keys of its own, and removes the keys. */
export async function tryPackages(redis: Connection): Promise<readonly Finding[]> {
  const id = `doctor-${randomUUID()}`
  const findings: Finding[] = []
  for (const test of tests) {
    try {
      await test.run(redis, id)
      findings.push(ok(test.check, `${test.name} works on Redis`))
    } catch (error) {
      findings.push(
        failure(
          test.check,
          `${test.name} does not work on Redis: ${messageOf(error)}`,
          'a service answers such calls from memory',
          'where a permission is missing: evenkeel redis-conf generate shows what a user needs',
        ),
      )
    }
  }
  return findings
}

async function tryCore(redis: Connection, id: string): Promise<void> {
  const store = createKeyValueStore({ redis, prefix: id, onOutage: 'throw' })
  await store.set('key', 'value', { ttl: '1m' })
  expectSame('the key', await store.get('key'), 'value')
  await store.delete('key')
  const held = await lock(redis, id, { ttl: '5s' })
  await held.release()
  let heard = () => {}
  const message = new Promise<void>((resolve) => {
    heard = resolve
  })
  const subscription = await redis.subscribe(id, heard)
  await redis.publish(id, 'hello')
  await within(2_000, message, 'a published message was not received')
  await subscription.close()
}

async function tryLimiter(redis: Connection, id: string): Promise<void> {
  const limiter = createRateLimiter({ redis, name: id, limits: { requests: slidingWindow(10, '1m') } })
  try {
    const { source } = await limiter.check('doctor')
    expectSame('the store that answered', source, 'redis')
    await limiter.reset('doctor')
  } finally {
    await limiter.close()
    // Otherwise the trial would be listed among the limiters of a service for a day.
    await removeKeys(redis, `${redis.namespace}rate-limiter:${id}:*`)
  }
}

async function tryCache(redis: Connection, id: string): Promise<void> {
  const cache = createCache({ redis, kind: 'doctor' })
  try {
    let calls = 0
    const load = async () => `value ${++calls}`
    await cache.getOrSet(id, load)
    expectSame('the cached value', await cache.getOrSet(id, load), 'value 1')
    expectSame('the store that answers', cache.state, 'primary')
    await cache.delete(id)
  } finally {
    await cache.close()
  }
}

async function tryMemory(redis: Connection, id: string): Promise<void> {
  const memory = createAgentMemory({ redis })
  try {
    const thread = memory.owner(id).thread('doctor')
    const receipt = await thread.append({ role: 'user', content: 'hello' })
    expectSame('the status', receipt.status, 'stored')
    await memory.owner(id).erase()
  } finally {
    await memory.close()
  }
}

async function tryPool(redis: Connection, id: string): Promise<void> {
  const pool = await createDecoderPool({ redis, name: id })
  try {
    const node = await pool.register({ endpoint: 'http://doctor.invalid:1' })
    await pool.deregister(node.id)
  } finally {
    await pool.close()
    await removeKeys(redis, `${redis.namespace}decoder-pool:{${id}}*`)
  }
}

async function removeKeys(redis: Connection, pattern: string): Promise<void> {
  for await (const keys of redis.scan(pattern)) {
    for (const key of keys) await redis.command(['UNLINK', key], { key })
  }
}

function expectSame(what: string, found: unknown, expected: string): void {
  if (found !== expected) throw new Error(`${what} is ${String(found)}, not ${expected}`)
}

async function within(ms: number, promise: Promise<void>, otherwise: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise)), ms)
  })
  await Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
