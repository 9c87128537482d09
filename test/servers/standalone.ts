import { type Flavour, type FlavourName, pickFlavour } from './flavours.js'
import { launch, type RedisServer } from './server.js'

/** Configuration: `{ appendonly: 'yes', save: ['60 1', '300 10'] }`, or a command line: `['--appendonly', 'yes']`. */
export type RedisArguments = readonly string[] | Readonly<Record<string, string | readonly string[]>>

export interface RedisOptions {
  readonly flavour?: Flavour | FlavourName | undefined
  /** A free one when absent. */
  readonly port?: number | undefined
  readonly args?: RedisArguments | undefined
  readonly password?: string | undefined
  /** Speak TLS only, with a certificate made for this server. */
  readonly tls?: boolean | undefined
  /** An existing folder for its data, which `close()` leaves; a new one when absent, which it removes. */
  readonly dir?: string | undefined
  /** Environment variables of its process, in addition to this process's. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** Starts one server, in memory only unless `args` say otherwise, and waits until it answers. */
export function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const { args = {}, port, password, dir, env, tls = false } = options
  const commandLine = isList(args) ? args : []
  const config = isList(args) ? [] : configLines(args)
  const flavour = pickFlavour(options.flavour)
  return launch({ flavour, port, password, dir, env, tls, args: commandLine, config: () => config })
}

function isList(args: RedisArguments): args is readonly string[] {
  return Array.isArray(args)
}

export function configLines(args: Readonly<Record<string, string | readonly string[]>>): string[] {
  return Object.entries(args).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map((each) => `${name} ${each === '' ? '""' : each}`),
  )
}
