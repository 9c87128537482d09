import calculateSlot from 'cluster-key-slot'
import type { Argument, ClientPort, Reply } from '../clients/port.js'
import { InvalidInputError, ReplyError, TransactionError } from '../errors.js'
import { commandName, safeError } from '../guard/client-error.js'
import { replyPrefix } from '../guard/error-meaning.js'
import { isError } from '../kit/cross-realm.js'
import { checkCommand } from './refused-commands.js'

export interface TransactionOptions {
  /** A key of the transaction, which routes it in a Cluster. @default the first key that is found */
  readonly key?: Argument | undefined
  /** Deadline in milliseconds. @default the connection's `commandTimeout` */
  readonly timeoutMs?: number | undefined
  /** Stops waiting. A transaction that was already sent may still run. */
  readonly signal?: AbortSignal | undefined
}

type Commands = readonly (readonly Argument[])[]

/** Commands whose first key is not their first argument, with its position; 0 for commands without keys. */
const firstKeyAt: Readonly<Record<string, number>> = {
  PING: 0,
  ECHO: 0,
  TIME: 0,
  INFO: 0,
  DBSIZE: 0,
  PUBLISH: 0,
  SCRIPT: 0,
  CLIENT: 0,
  CONFIG: 0,
  EVAL: 3,
  EVALSHA: 3,
  EVAL_RO: 3,
  EVALSHA_RO: 3,
  FCALL: 3,
  FCALL_RO: 3,
  OBJECT: 2,
  MEMORY: 2,
  XGROUP: 2,
  XINFO: 2,
  BITOP: 2,
  LMPOP: 2,
  ZMPOP: 2,
  ZUNION: 2,
  ZINTER: 2,
  ZDIFF: 2,
  SINTERCARD: 2,
  ZINTERCARD: 2,
}

/** Checks the commands of a transaction before any I/O. */
export function checkTransaction(commands: Commands): InvalidInputError | undefined {
  if (!Array.isArray(commands) || commands.length === 0) {
    return new InvalidInputError('commands', "an array of commands, such as [['INCR', key]]", commands)
  }
  for (const [index, args] of commands.entries()) {
    const error = checkCommand(args, `commands[${index}]`)
    if (error !== undefined) return error
  }
  return undefined
}

/** The key that routes the transaction. @throws InvalidInputError if its keys are in several slots of a Cluster */
export function routeOf(commands: Commands, topology: ClientPort['topology']): Argument | undefined {
  const keys = commands.flatMap((args) => {
    const key = firstKey(args)
    return key === undefined ? [] : [key]
  })
  if (topology === 'cluster' && new Set(keys.map((key) => calculateSlot(key))).size > 1) {
    throw new InvalidInputError('commands', 'keys of one hash slot, as those that share a {tag} are', keys)
  }
  return keys[0]
}

/** The replies, if all commands succeeded. @throws TransactionError if one failed */
export function repliesOf(commands: Commands, results: readonly (Reply | Error)[]): readonly Reply[] {
  if (results.every(isReply)) return results
  const index = results.findIndex((result) => !isReply(result))
  const replies = results.map((result, at) =>
    isError(result) ? failureOf(commands[at] ?? [], result) : result,
  )
  throw new TransactionError(index, replies)
}

function isReply(result: Reply | Error): result is Reply {
  return !isError(result)
}

function failureOf(args: readonly Argument[], error: Error): ReplyError {
  const cause = safeError(error, args)
  return new ReplyError(commandName(String(args[0])), replyPrefix(error) ?? 'ERR', { cause })
}

function firstKey(args: readonly Argument[]): Argument | undefined {
  const name = String(args[0]).toUpperCase()
  if (name === 'XREAD' || name === 'XREADGROUP') {
    return args[args.findIndex((arg) => /^STREAMS$/i.test(String(arg))) + 1]
  }
  const at = firstKeyAt[name] ?? 1
  // The second argument of EVAL says how many keys follow it.
  if (at === 0 || (at === 3 && String(args[2]) === '0')) return undefined
  return args[at]
}
