import type { Argument } from '../clients/port.js'
import { InvalidInputError } from '../errors.js'

const transaction = 'use redis.transaction([...])'
const subscribe = 'use redis.subscribe()'
const ownClient = 'use a client of your own for it'
const waits = 'it would hold up the commands of everybody: use a client of your own for it'
const credentials = 'give the credentials to connect()'

/**
 * Commands that change the state of the connection or hold it up. All packages of a process share one connection,
 * and a pool takes another one for each command, so none of these can do what its caller wants.
 */
const refused: ReadonlyMap<string, string> = new Map([
  ...['MULTI', 'EXEC', 'DISCARD', 'WATCH', 'UNWATCH'].map((name) => [name, transaction] as const),
  ...['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE'].map((name) => [name, subscribe] as const),
  ...['UNSUBSCRIBE', 'PUNSUBSCRIBE', 'SUNSUBSCRIBE'].map(
    (name) => [name, 'close() of what redis.subscribe() gave does it'] as const,
  ),
  ...['AUTH', 'HELLO'].map((name) => [name, credentials] as const),
  ['SELECT', 'give the database to connect()'],
  ['QUIT', 'use redis.close()'],
  ['RESET', 'use redis.close()'],
  ...['READONLY', 'READWRITE', 'ASKING'].map(
    (name) => [name, 'give readFrom to connect(), and readOnly to the command'] as const,
  ),
  ...['MONITOR', 'SYNC', 'PSYNC', 'REPLCONF'].map((name) => [name, ownClient] as const),
  ...'BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF'
    .split(' ')
    .map((name) => [name, waits] as const),
])

/** Subcommands of the same kind; CLIENT LIST and SCRIPT FLUSH, for instance, concern the server. */
const refusedSubcommands: Readonly<Record<string, ReadonlySet<string>>> = {
  CLIENT: new Set(['REPLY', 'TRACKING', 'CACHING', 'NO-EVICT', 'NO-TOUCH', 'CAPA', 'IMPORT-SOURCE']),
  SCRIPT: new Set(['DEBUG']),
}

/**
 * Checks that a command consists of text and Buffers and may be sent on a shared connection. Returns the error instead
 * of throwing it, because our calls reject and never throw.
 */
export function checkCommand(args: readonly Argument[], field = 'command'): InvalidInputError | undefined {
  if (!Array.isArray(args) || args.length === 0) {
    return new InvalidInputError(
      field,
      "an array of the command and its arguments, such as ['GET', key]",
      args,
    )
  }
  for (let index = 0; index < args.length; index++) {
    const arg: unknown = args[index]
    if (typeof arg !== 'string' && !Buffer.isBuffer(arg)) {
      return new InvalidInputError(`${field}[${index}]`, 'text or a Buffer (write a number as text)', arg)
    }
  }
  const name = String(args[0]).toUpperCase()
  const reason = refused.get(name) ?? reasonOf(name, args)
  return reason === undefined ? undefined : new RefusedCommandError(field, name, reason)
}

function reasonOf(name: string, args: readonly Argument[]): string | undefined {
  if (name === 'XREAD' || name === 'XREADGROUP') return blocks(args) ? waits : undefined
  const subcommands = refusedSubcommands[name]
  if (subcommands === undefined) return undefined
  return subcommands.has(String(args[1] ?? '').toUpperCase()) ? ownClient : undefined
}

/** The option BLOCK comes before STREAMS; after STREAMS it is the name of a stream. */
function blocks(args: readonly Argument[]): boolean {
  for (const arg of args.slice(1)) {
    const word = String(arg).toUpperCase()
    if (word === 'STREAMS') return false
    if (word === 'BLOCK') return true
  }
  return false
}

class RefusedCommandError extends InvalidInputError {
  constructor(field: string, name: string, reason: string) {
    super(field, 'a command that leaves the connection as it is', name)
    this.message = `${field}: ${name} would change or hold up the connection that all packages share; ${reason}`
  }
}
