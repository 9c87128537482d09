import { fromJson } from '../messages/json.js'

/** A field from outside (a backup, a journal's file) has an invalid value. */
export class FieldError extends Error {
  override readonly name = 'FieldError'

  constructor(readonly field: string) {
    super(`the field ${field} is not one that a thread can have`)
  }
}

export interface Bounds {
  /** @default 0 */
  readonly min?: number | undefined
  /** @default Number.MAX_SAFE_INTEGER */
  readonly max?: number | undefined
}

/** The latest moment that a Date can have, ms since 1970. */
export const maxMs = 8.64e15

/** Maximum characters of a name; no caller can store a longer one. */
export const maxNameLength = 4_096

/** A whole number. @throws FieldError, as the other checks here */
export function integer(
  field: string,
  value: unknown,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: Bounds = {},
): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw new FieldError(field)
}

/** Well-formed text of at least one character. */
export function text(field: string, value: unknown, max = maxNameLength): string {
  if (typeof value === 'string' && value !== '' && value.length <= max && value.isWellFormed()) return value
  throw new FieldError(field)
}

export function list(field: string, value: unknown, max = Number.MAX_SAFE_INTEGER): readonly unknown[] {
  if (Array.isArray(value) && value.length <= max) return value
  throw new FieldError(field)
}

export function fields(field: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>
  }
  throw new FieldError(field)
}

/** The value of a JSON text. A text nested deeper than JSON.stringify can write is refused. */
export function json(field: string, value: unknown): unknown {
  try {
    if (typeof value === 'string') {
      const parsed = fromJson(value)
      JSON.stringify(JSON.parse(value))
      return parsed
    }
  } catch {
    // The error is thrown below.
  }
  throw new FieldError(field)
}

/** A name of letters, digits, dashes and underscores, as roles and digests are. */
export function word(field: string, value: unknown, max = 64): string {
  if (/^[\w-]+$/.test(text(field, value, max))) return String(value)
  throw new FieldError(field)
}

/** The result of a check, or `undefined` for a value that is absent. */
export function optional<T>(value: unknown, check: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : check(value)
}
