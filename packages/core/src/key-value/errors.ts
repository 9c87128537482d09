import { EvenkeelError } from '../errors.js'

/** The same error from both stores. The message does not repeat the value. */
export function noWholeNumber(): EvenkeelError {
  return new EvenkeelError('REDIS_REPLY', 'increment: the value, or its sum, is no whole number')
}
