import type { Connection } from '../connection/connection.js'
import { defineScript } from '../connection/scripts.js'
import { createKeyspace } from '../kit/keys.js'
import { integerOf, listOf } from '../kit/replies.js'
import acquireLua from '../scripts/lock-acquire.lua'
import extendLua from '../scripts/lock-extend.lua'
import releaseLua from '../scripts/lock-release.lua'
import { type Attempt, HeldLock, type Lease } from './held-lock.js'
import type { ResolvedLockOptions } from './options.js'
import { processLocks } from './process-locks.js'

const acquireScript = defineScript({ name: 'lock.acquire', lua: acquireLua })
const extendScript = defineScript({ name: 'lock.extend', lua: extendLua })
const releaseScript = defineScript({ name: 'lock.release', lua: releaseLua })

/** One try on Redis: one round trip, or none while a local lock of this process is held. */
export async function takeOnRedis(
  redis: Connection,
  { resource, ttlMs, name }: ResolvedLockOptions,
  token: string,
): Promise<Attempt> {
  if (isHeldInMemory(name)) return { heldForMs: ttlMs }
  const keys = keysOf(redis, resource)
  const sentAt = performance.now()
  const reply = await redis.run(acquireScript, keys, [token, wholeMs(ttlMs)])
  const [taken, value] = listOf(acquireScript.name, reply)
  if (integerOf(acquireScript.name, taken) !== 1)
    return { heldForMs: Math.max(0, integerOf(acquireScript.name, value)) }
  if (isHeldInMemory(name)) {
    // Another caller took a local lock while the reply was on its way.
    await giveBack(redis, resource, token)
    return { heldForMs: ttlMs }
  }
  processLocks.hold(name, { token, source: 'redis' })
  const lease: Lease = {
    source: 'redis',
    extend: async (extendMs) => {
      const extended = await redis.run(extendScript, keys.slice(0, 1), [token, wholeMs(extendMs)])
      return integerOf(extendScript.name, extended) === 1
    },
    release: () => giveBack(redis, resource, token),
    end: () => void processLocks.leave(name, token),
  }
  const fence = integerOf(acquireScript.name, value)
  return { lock: new HeldLock({ token, fence, ttlMs, sentAt, lease }) }
}

/** Resolves with whether the token held the lock. */
export async function giveBack(redis: Connection, resource: string, token: string): Promise<boolean> {
  const keys = keysOf(redis, resource).slice(0, 1)
  return integerOf(releaseScript.name, await redis.run(releaseScript, keys, [token])) === 1
}

function isHeldInMemory(name: string): boolean {
  return processLocks.holderOf(name)?.source === 'memory'
}

function keysOf(redis: Connection, resource: string): readonly string[] {
  const { key } = createKeyspace(redis.namespace, 'lock')
  return [key(resource), key(resource, 'fence')]
}

function wholeMs(ttlMs: number): string {
  return String(Math.ceil(ttlMs))
}
