import type { Argument } from '../clients/port.js'

/** What may be shown of an error that a client library rejected with. */
export interface SafeError extends Error {
  readonly code?: string
}

/** Shorter arguments (`1`, `EX`) are no secrets, and part of many words. */
const minLength = 3
/** From this length on an argument is taken out wherever it occurs. */
const wordLength = 8

/**
 * Copies of a client library's error what may be shown: its name, code and message. ioredis puts the whole command on
 * its errors, prompts and passwords included; and servers quote arguments in some messages (of unknown commands, of
 * ACL SETUSER), so what is an argument of the command is left out of the message.
 */
export function safeError(error: unknown, args: readonly Argument[] = []): SafeError {
  const name = error instanceof Error ? error.name : 'Error'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const safe = withoutStack(withoutArguments(messageOf(error), args))
  Object.defineProperty(safe, 'name', { value: name, configurable: true, writable: true })
  return typeof code === 'string' ? Object.assign(safe, { code }) : safe
}

/** Node reports a host whose addresses all refuse as an AggregateError without a message of its own. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return 'an unknown error'
  if (error.message !== '') return error.message
  const parts = error instanceof AggregateError ? error.errors.map(messageOf) : []
  return [...new Set(parts)].join('; ') || error.name
}

/** The name of a command, or `command` where the text is none: it may hold anything that a caller put there. */
export function commandName(command: string): string {
  return /^[\w.|-]{1,40}$/.test(command) ? command : 'command'
}

/** The stack of a client library ends in its socket's handler and begins with the message. */
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

/** A short argument (`user`) may be part of the server's own words (`user_script`): it is taken out where it stands alone. */
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
