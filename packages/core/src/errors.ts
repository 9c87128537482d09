import { isError } from './kit/cross-realm.js'

/** Every code that an error of evenkeel can carry. `docs/errors` has a page for each, and a test compares both ways. */
export const errorCodes = [
  'INVALID_OPTION',
  'INVALID_INPUT',
  'UNKNOWN_CLIENT',
  'CLIENT_MISSING',
  'CLOSED',
  'CONNECTION_CLOSED',
  'CONNECTION_DOWN',
  'COMMAND_TIMEOUT',
  'COMMAND_UNKNOWN',
  'COMMAND_ABORTED',
  'OVERLOADED',
  'REDIS_REFUSED',
  'CREDENTIALS_REFUSED',
  'REDIS_REPLY',
  'UNEXPECTED_REPLY',
  'LOCK_UNAVAILABLE',
  'LOCK_TIMEOUT',
  'LOCK_LOST',
] as const

export type ErrorCode = (typeof errorCodes)[number]

const brand = Symbol.for('evenkeel.error')
const keptName = Symbol.for('evenkeel.error.name')

type AnyClass = abstract new (...args: never[]) => unknown

/**
 * Gives classes the names by which other copies of the package know them. A minifier shortens the name of a class, and
 * may shorten another's to the same; it leaves the keys of an object alone.
 */
export function keepNames(classes: Readonly<Record<string, AnyClass>>): void {
  for (const [name, one] of Object.entries(classes)) Object.defineProperty(one, keptName, { value: name })
}

/** `undefined` for a class of the host, even if it extends one of ours. */
function keptNameOf(one: unknown): unknown {
  return typeof one === 'function' && Object.hasOwn(one, keptName) ? Reflect.get(one, keptName) : undefined
}

function isOf(wanted: AnyClass, value: unknown): boolean {
  if (typeof value !== 'object' || value === null || !(brand in value)) return false
  const name = keptNameOf(wanted)
  for (let proto = Object.getPrototypeOf(value); proto !== null; proto = Object.getPrototypeOf(proto)) {
    if (proto === wanted.prototype || (name !== undefined && keptNameOf(proto.constructor) === name))
      return true
  }
  return false
}

/**
 * The base of all errors of the evenkeel packages. `code` is stable across versions; messages are not.
 * Feature packages extend it with codes of their own.
 */
export class EvenkeelError<Code extends string = string> extends Error {
  override readonly name: string = 'EvenkeelError'
  readonly code: Code
  readonly [brand] = true

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  /** `instanceof` also recognises errors of another copy of the package (ESM beside CommonJS), by their kept names. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: the class that is asked, which a subclass inherits this from
    return isOf(this, value)
  }

  /** `instanceof` as a function: whether a value is an error of this class, from any copy of the package. */
  static isInstance<Class extends AnyClass>(this: Class, value: unknown): value is InstanceType<Class> {
    // biome-ignore lint/complexity/noThisInStatic: the class that is asked, which a subclass inherits this from
    return isOf(this, value)
  }
}

/** An option of a `createX()` or `connect()` call is wrong. Thrown before any I/O; names the option. */
export class InvalidOptionError extends EvenkeelError<'INVALID_OPTION'> {
  override readonly name = 'InvalidOptionError'
  readonly field: string

  constructor(field: string, expected: string, got: unknown) {
    super('INVALID_OPTION', `${field}: expected ${expected}, got ${describe(got)}`)
    this.field = field
  }
}

/** An argument of a call is wrong. The call rejects before any I/O and changes nothing. */
export class InvalidInputError extends EvenkeelError<'INVALID_INPUT'> {
  override readonly name = 'InvalidInputError'
  readonly field: string

  constructor(field: string, expected: string, got: unknown) {
    super('INVALID_INPUT', `${field}: expected ${expected}, got ${describe(got)}`)
    this.field = field
  }
}

export type UnavailableCode =
  | 'CONNECTION_CLOSED'
  | 'CONNECTION_DOWN'
  | 'COMMAND_TIMEOUT'
  | 'COMMAND_UNKNOWN'
  | 'OVERLOADED'
  | 'REDIS_REFUSED'
  | 'UNEXPECTED_REPLY'

/**
 * Redis could not answer. `failover()` then answers from memory, except for OVERLOADED and CONNECTION_CLOSED.
 * `outcome` says whether the command may have run: `'not-sent'` is safe to retry; `'unknown'` is safe to retry only if
 * the command is idempotent; `'refused'` means that the server declined it.
 */
export class UnavailableError extends EvenkeelError<UnavailableCode> {
  override readonly name: string = 'UnavailableError'
  readonly outcome: 'not-sent' | 'unknown' | 'refused'

  constructor(
    code: UnavailableCode,
    message: string,
    outcome: 'not-sent' | 'unknown' | 'refused',
    options?: ErrorOptions,
  ) {
    super(code, message, options)
    this.outcome = outcome
  }
}

/** A command was not answered by its deadline. It may have run. Names the command, never its values. */
export class CommandTimeoutError extends UnavailableError {
  override readonly name = 'CommandTimeoutError'

  constructor(command: string, deadlineMs: number) {
    super(
      'COMMAND_TIMEOUT',
      `${command} was not answered within ${deadlineMs} ms; it may have run`,
      'unknown',
    )
  }
}

/** Redis replied with an error that concerns the caller (WRONGTYPE, an error of a script, NOPERM …). */
export class ReplyError extends EvenkeelError<'REDIS_REPLY'> {
  override readonly name: string = 'ReplyError'
  /** The first word of the server's message: `WRONGTYPE`, `NOPERM`, `ERR` … */
  readonly prefix: string
  readonly command: string

  constructor(command: string, prefix: string, options?: ErrorOptions) {
    const cause = options?.cause
    super('REDIS_REPLY', `${command} failed: ${isError(cause) ? cause.message : prefix}`, options)
    this.prefix = prefix
    this.command = command
  }
}

/**
 * A command of a transaction failed while it ran. Redis does not roll back the others: `replies` holds the reply of
 * each command, or its error.
 */
export class TransactionError extends ReplyError {
  override readonly name = 'TransactionError'
  /** Index of the first command that failed. */
  readonly index: number
  readonly replies: readonly unknown[]

  constructor(index: number, replies: readonly unknown[]) {
    const failure = replies[index]
    const [command, prefix] =
      failure instanceof ReplyError ? [failure.command, failure.prefix] : ['EXEC', 'ERR']
    super(command, prefix, { cause: failure })
    this.message = `commands[${index}] of the transaction: ${isError(failure) ? failure.message : prefix}; the others were executed`
    this.index = index
    this.replies = replies
  }
}

/**
 * A reply has a shape that its command never gives, for example on a connection inside a MULTI. Whether the command
 * ran is unknown. The message does not repeat the reply.
 */
export class UnexpectedReplyError extends UnavailableError {
  override readonly name = 'UnexpectedReplyError'

  constructor(command: string, expected: string) {
    super('UNEXPECTED_REPLY', `${command} was not answered with ${expected}`, 'unknown')
  }
}

keepNames({
  EvenkeelError,
  InvalidOptionError,
  InvalidInputError,
  UnavailableError,
  CommandTimeoutError,
  ReplyError,
  TransactionError,
  UnexpectedReplyError,
})

/**
 * Describes the kind of a value. What callers and operators pass may hold prompts and passwords, so text is never
 * repeated, and of an object only its kind is shown.
 */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return value === '' ? 'an empty string' : `a string of ${value.length} characters`
  // A long number may be personal: a card, a telephone, an account.
  if (typeof value === 'number' || typeof value === 'bigint')
    return String(value).length > 9 ? `a ${typeof value}` : String(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null)
    return `an object (${value.constructor?.name ?? 'null prototype'})`
  return String(value)
}
