import { readFileSync } from 'node:fs'
import { type Connection, connect, EvenkeelError } from '@evenkeel/core'
import type { Command } from 'commander'
import { CommandError, exitCodes } from './exit-codes.js'
import type { Io } from './io.js'

/** Flags that say where Redis is. */
export interface ConnectionFlags {
  readonly url?: string
  readonly cluster?: string
  readonly sentinel?: string
  readonly sentinelName?: string
  readonly username?: string
  readonly passwordEnv?: string
  readonly askPassword?: boolean
  readonly tlsCa?: string
  readonly namespace?: string
}

/** Adds the flags. Without any of them, the environment says where Redis is, as in a service. */
export function withConnectionFlags(command: Command): Command {
  return command
    .option(
      '--url <url>',
      'where Redis is, such as redis://localhost:6379 or rediss://host:6380/1 (default: REDIS_URL and its like)',
    )
    .option('--cluster <nodes>', 'some nodes of a Cluster, such as a:7000,b:7000')
    .option('--sentinel <nodes>', 'where sentinels listen, such as a:26379,b:26379')
    .option('--sentinel-name <name>', 'the name they know the primary by (default: mymaster)')
    .option('--username <name>', 'user of the ACL')
    .option('--password-env <variable>', 'environment variable that holds the password')
    .option('--ask-password', 'ask for the password')
    .option('--tls-ca <file>', 'certificate of the authority that signed the server’s')
    .option('--namespace <prefix>', 'prefix of all keys (default: evenkeel)')
}

/** Splits a list of nodes, `a:7000, b:7000`, from a flag or a variable. */
export function nodesOf(list: string): readonly string[] {
  return list.split(',').map((node) => node.trim())
}

export interface OpenOptions {
  /** The result of {@link passwordOf}, if several connections are opened, since it may ask at the terminal. */
  readonly password?: Promise<string | undefined>
  /** Whether the command fails if Redis does not answer. @default true */
  readonly required?: boolean
  /** Whether the command itself shows what happens to the connection. @default false */
  readonly isQuiet?: boolean
}

/** Connects as a service does, but fails if Redis does not answer (unless `required` is false). */
export async function openRedis(
  flags: ConnectionFlags,
  io: Io,
  { password = passwordOf(flags, io), required = true, isQuiet = false }: OpenOptions = {},
): Promise<Connection> {
  const known = await password
  try {
    return await connect(
      {
        ...(flags.url === undefined ? {} : { url: flags.url }),
        ...(flags.cluster === undefined ? {} : { cluster: { nodes: nodesOf(flags.cluster) } }),
        ...(flags.sentinel === undefined
          ? {}
          : { sentinel: { nodes: nodesOf(flags.sentinel), name: flags.sentinelName ?? 'mymaster' } }),
        ...(flags.username === undefined ? {} : { username: flags.username }),
        ...(known === undefined ? {} : { password: known }),
        ...(flags.tlsCa === undefined ? {} : { tls: { ca: readFileSync(flags.tlsCa, 'utf8') } }),
        ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
        commandTimeout: '5s',
        required,
        telemetry: false,
        logger: isQuiet
          ? { info() {}, warn() {} }
          : { info: (line) => io.err(`evenkeel: ${line}`), warn: (line) => io.err(`evenkeel: ${line}`) },
      },
      io.env,
    )
  } catch (error) {
    if (EvenkeelError.isInstance(error) && error.code === 'INVALID_OPTION') {
      throw new CommandError(exitCodes.usage, error.message)
    }
    const isDown = EvenkeelError.isInstance(error) && error.code === 'CONNECTION_DOWN'
    const message = error instanceof Error ? error.message : String(error)
    throw new CommandError(exitCodes.unreachable, isDown ? message : `Redis can't be used: ${message}`)
  }
}

export async function passwordOf(
  { passwordEnv, askPassword }: ConnectionFlags,
  io: Io,
): Promise<string | undefined> {
  if (askPassword === true) {
    if (io.askSecret === undefined)
      throw new CommandError(exitCodes.usage, 'there is nobody to ask for the password; use --password-env')
    return io.askSecret('Password of Redis')
  }
  if (passwordEnv === undefined) return undefined
  const password = io.env[passwordEnv]
  if (!password) throw new CommandError(exitCodes.usage, `the variable ${passwordEnv} holds no password`)
  return password
}

/** Runs work with a connection, and closes the connection afterwards in every case. */
export async function withRedis<T>(
  flags: ConnectionFlags,
  io: Io,
  work: (redis: Connection) => Promise<T>,
): Promise<T> {
  const redis = await openRedis(flags, io)
  try {
    return await work(redis)
  } finally {
    await redis.close()
  }
}
