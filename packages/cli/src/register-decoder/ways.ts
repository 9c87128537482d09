import { connect, InvalidInputError } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool } from '@evenkeel/decoder-pool'
import { CommandError, exitCodes } from '../exit-codes.js'
import type { Io } from '../io.js'
import { byApi } from './coordinator.js'
import type { Flags } from './flags.js'
import type { Registered } from './registered.js'

export interface Way {
  readonly name: Registered['way']
  /** @throws CommandError for a refusal, any other error if this way failed */
  register(): Promise<Registered>
}

/** The ways of registration that the flags name, in the order in which they are tried. */
export function waysOf(flags: Flags, io: Io): readonly Way[] {
  const { coordinatorUrl, redisUrl, file } = flags
  return [
    ...(coordinatorUrl === undefined
      ? []
      : [{ name: 'api' as const, register: () => byApi(coordinatorUrl, flags) }]),
    ...(redisUrl === undefined
      ? []
      : [{ name: 'redis' as const, register: () => inRedis(redisUrl, flags, io) }]),
    ...(file === undefined ? [] : [{ name: 'file' as const, register: () => inFile(file, flags) }]),
  ]
}

async function inRedis(url: string, flags: Flags, io: Io): Promise<Registered> {
  // Lines about Redis are written only after the registration (for --keep): before, this way's own error says it.
  let isRegistered = false
  const tell = (line: string) => {
    if (isRegistered) io.err(`evenkeel: ${line}`)
  }
  const redis = await connect({
    url,
    commandTimeout: flags.timeoutMs,
    connectionTimeout: flags.timeoutMs,
    logger: { info: tell, warn: tell },
  })
  try {
    if (redis.state !== 'up') throw new Error(`Redis is ${redis.state}: ${redis.downReason}`)
    const pool = await createDecoderPool({ redis, name: flags.pool, probe: false })
    const registered = await put(pool, 'redis', flags)
    // In an outage the pool would continue in memory, and no coordinator would ever see the node.
    if (pool.status().state !== 'primary') throw new Error('Redis went away')
    isRegistered = true
    return {
      ...registered,
      close: async () => {
        await registered.close()
        await redis.close()
      },
    }
  } catch (error) {
    await redis.close()
    throw error
  }
}

async function inFile(file: string, flags: Flags): Promise<Registered> {
  const pool = await createDecoderPool({ file, name: flags.pool, probe: false })
  const warned = new Promise<Error>((resolve) => pool.on('warning', resolve))
  const registered = await put(pool, 'file', flags)
  // The pool has now written its file, or reported why it could not.
  await pool.close()
  const failure = await Promise.race([
    warned,
    new Promise<undefined>((resolve) => setImmediate(resolve, undefined)),
  ])
  if (failure !== undefined) throw failure
  return {
    ...registered,
    deregister: async () => {
      const again = await createDecoderPool({ file, name: flags.pool, probe: false })
      await again.deregister(registered.id)
      await again.close()
    },
    close: async () => {},
  }
}

async function put(pool: DecoderPool, way: Registered['way'], { node }: Flags): Promise<Registered> {
  try {
    const { id } = await pool.register(node)
    return {
      way,
      id,
      // The pool itself renews the nodes that were registered with it.
      renew: async () => {},
      deregister: async () => void (await pool.deregister(id)),
      close: () => pool.close(),
    }
  } catch (error) {
    await pool.close()
    if (error instanceof InvalidInputError) throw new CommandError(exitCodes.usage, error.message)
    throw error
  }
}
