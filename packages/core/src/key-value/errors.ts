import { EvenkeelError } from '../errors.js'

/** The same from both stores. The value is not repeated. */
export function noWholeNumber(): EvenkeelError {
  return new EvenkeelError('REDIS_REPLY', 'increment: the value, or its sum, is no whole number')
}
