import { closest, distance } from 'fastest-levenshtein'
import { InvalidInputError, InvalidOptionError } from '../errors.js'
import { type Duration, type DurationBounds, durationMs } from './duration.js'

interface FieldError {
  new (field: string, expected: string, got: unknown): Error
}

export interface NumberBounds {
  readonly min?: number | undefined
  readonly max?: number | undefined
}

/** Checks of one kind of value. Each returns the value, or throws an error that names `field`. */
export interface Validator {
  /** A whole number. @default 1 to Number.MAX_SAFE_INTEGER */
  integer(field: string, value: unknown, bounds?: NumberBounds): number
  /** A finite number. @default from 0 */
  number(field: string, value: unknown, bounds?: NumberBounds): number
  /** Milliseconds of a duration. @default 0 ms to 100 years */
  duration(field: string, value: Duration, bounds?: DurationBounds): number
  flag(field: string, value: unknown): boolean
  /** Well-formed text. @default 1 to 4,096 characters */
  text(field: string, value: unknown, bounds?: NumberBounds): string
  oneOf<T extends string>(field: string, value: unknown, values: readonly T[]): T
  // biome-ignore lint/suspicious/noExplicitAny: a function of any parameters; the caller knows which
  fn<T extends (...values: any[]) => unknown>(field: string, value: T): T
  list<T>(field: string, value: readonly T[]): readonly T[]
  /** An object that is no array. */
  object<T extends object>(field: string, value: T): T
  /**
   * Refuses members that `names` does not list, with the nearest name as a hint. `names` lists every member
   * of `T`, which TypeScript checks. `at` is the field that holds the object; empty for the options themselves.
   */
  members<T extends object>(at: string, value: T, names: Readonly<Record<keyof T, true>>): T
}

function createValidator(Failure: FieldError): Validator {
  const fail = (field: string, expected: string, got: unknown): never => {
    throw new Failure(field, expected, got)
  }
  return {
    integer(field, value, { min = 1, max = Number.MAX_SAFE_INTEGER } = {}) {
      if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
      return fail(field, `a whole number from ${min} to ${max}`, value)
    },
    number(field, value, { min = 0, max = Number.MAX_VALUE } = {}) {
      if (typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max) return value
      return fail(
        field,
        max === Number.MAX_VALUE ? `a number from ${min}` : `a number from ${min} to ${max}`,
        value,
      )
    },
    duration: (field, value, bounds) => durationMs(field, value, bounds, Failure),
    flag(field, value) {
      return typeof value === 'boolean' ? value : fail(field, 'true or false', value)
    },
    text(field, value, { min = 1, max = 4_096 } = {}) {
      // Half of a surrogate pair can't be written as UTF-8: two such texts would share a key.
      if (typeof value === 'string' && value.length >= min && value.length <= max && value.isWellFormed())
        return value
      return fail(field, `well-formed text of ${min} to ${max} characters`, value)
    },
    oneOf(field, value, values) {
      const found = values.find((candidate) => candidate === value)
      return found ?? fail(field, `one of ${values.map((name) => `'${name}'`).join(', ')}`, value)
    },
    fn(field, value) {
      return typeof value === 'function' ? value : fail(field, 'a function', value)
    },
    list(field, value) {
      return Array.isArray(value) ? value : fail(field, 'an array', value)
    },
    object(field, value) {
      return isObject(value) ? value : fail(field, 'an object', value)
    },
    members(at, value, names) {
      if (!isObject(value)) return fail(at === '' ? 'options' : at, 'an object', value)
      for (const name of Object.keys(value)) {
        if (!Object.hasOwn(names, name))
          fail(
            at === '' ? name : `${at}.${name}`,
            `no member of this name${hint(name, names)}`,
            Reflect.get(value, name),
          )
      }
      return value
    },
  }
}

/** Checks of what `createX()` and `connect()` take. @throws InvalidOptionError */
export const option: Validator = createValidator(InvalidOptionError)

/** Checks of what a call takes. @throws InvalidInputError */
export const input: Validator = createValidator(InvalidInputError)

/** Checks an option that must be a whole number within bounds. @throws InvalidOptionError that names it */
export function wholeNumber(field: string, value: unknown, min = 1, max = Number.MAX_SAFE_INTEGER): number {
  return option.integer(field, value, { min, max })
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The known name that the unknown one was most likely meant to be. */
function hint(name: string, names: object): string {
  const nearest = closest(
    name.toLowerCase(),
    Object.keys(names).map((known) => known.toLowerCase()),
  )
  const known = Object.keys(names).find((candidate) => candidate.toLowerCase() === nearest)
  if (known === undefined || distance(name.toLowerCase(), nearest) > Math.max(2, name.length / 3)) return ''
  return ` (did you mean '${known}'?)`
}
