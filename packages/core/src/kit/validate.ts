import { InvalidOptionError } from '../errors.js'

/** Checks an option that must be a whole number within bounds. @throws InvalidOptionError that names it */
export function wholeNumber(
  field: string,
  value: unknown,
  least = 1,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw new InvalidOptionError(field, `a whole number from ${least} to ${most}`, value)
  }
  return value
}
