import type { Argument } from '../clients/port.js'
import { isError } from '../kit/cross-realm.js'

/** What may be shown of an error that a client library rejected with. */
export interface SafeError extends Error {
  readonly code?: string
}

/** Shorter arguments (`1`, `EX`) are no secrets, and occur in many words. */
const minLength = 3
/** An argument of at least this length is removed wherever it occurs. */
const wordLength = 8

/**
 * Copies what may be shown of a client library's error: its name, code and message. ioredis attaches the whole command
 * to its errors, prompts and passwords included, and servers quote arguments in some messages (of unknown commands, of
 * ACL SETUSER), so arguments of the command are removed from the message.
 */
export function safeError(error: unknown, args: readonly Argument[] = []): SafeError {
  const name = isError(error) ? error.name : 'Error'
  const code = isError(error) && 'code' in error ? error.code : undefined
  const safe = withoutStack(withoutArguments(messageOf(error), args))
  Object.defineProperty(safe, 'name', { value: name, configurable: true, writable: true })
  return typeof code === 'string' ? Object.assign(safe, { code }) : safe
}

/** Node reports a host whose addresses all refuse as an AggregateError without a message of its own. */
export function messageOf(error: unknown): string {
  if (!isError(error)) return 'an unknown error'
  if (error.message !== '') return error.message
  const parts = 'errors' in error && Array.isArray(error.errors) ? error.errors.map(messageOf) : []
  return [...new Set(parts)].join('; ') || error.name
}

/** The name of a command, or `command` if the text can't be one: it may be anything that a caller passed. */
export function commandName(command: string): string {
  return /^[\w.|-]{1,40}$/.test(command) ? command : 'command'
}

/** The stack of a client library's error shows only its socket's handler, and repeats the message. */
function withoutStack(message: string): Error {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return new Error(message)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function withoutArguments(message: string, args: readonly Argument[]): string {
  const [known = message] = message.split(', with args beginning with', 1)
  const secrets = args.filter((arg, index) => arg.length >= minLength && !isPublic(args, index))
  if (secrets.length === 0) return known
  const unquoted = known.replace(
    /'([^']*)'|`([^`]*)`|"([^"]*)"/g,
    (quoted, ...parts: (string | undefined)[]) => {
      const part = parts.slice(0, 3).find((text) => text !== undefined) ?? ''
      return part.length > 0 && secrets.some((secret) => secret.includes(part)) ? "'…'" : quoted
    },
  )
  return secrets.reduce<string>(
    (text, secret) => (secret.length > text.length ? text : withoutSecret(text, secret.toString())),
    unquoted,
  )
}

/** A short argument (`user`) may occur in the server's words (`user_script`), so it is removed only as a whole word. */
function withoutSecret(text: string, secret: string): string {
  const parts = text.split(secret)
  if (secret.length >= wordLength) return parts.join('…')
  return parts.reduce((before, after) =>
    /\w$/.test(before) || /^\w/.test(after) ? before + secret + after : `${before}…${after}`,
  )
}

/** The command's name, and the digest of a script, which the server's own messages name. */
function isPublic(args: readonly Argument[], index: number): boolean {
  const command = String(args[0])
  if (index === 0) return commandName(command) === command
  return index === 1 && /^EVALSHA/i.test(command)
}
