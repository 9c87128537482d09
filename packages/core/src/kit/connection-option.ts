import { InvalidOptionError } from '../errors.js'

const expected = "a connection, made by connect() of '@evenkeel/core'"

/**
 * Checks an option `redis`: a connection, or nothing. The error names common mistakes: a connect() that was not
 * awaited, a client of a library, a URL.
 *
 * @throws InvalidOptionError
 */
export function checkConnection<T extends object>(field: string, redis: T | undefined): T | undefined {
  if (redis === undefined) return undefined
  const given: unknown = redis
  if (typeof given === 'object' && given !== null) {
    if ('then' in given && typeof given.then === 'function') {
      throw new InvalidOptionError(field, `${expected}: await it first`, given)
    }
    if ('autoResync' in given && 'on' in given && typeof given.on === 'function') return redis
    if ('sendCommand' in given || 'duplicate' in given || 'defineCommand' in given) {
      throw new InvalidOptionError(field, `${expected}: pass it as connect({ client })`, given)
    }
  }
  throw new InvalidOptionError(field, expected, given)
}
