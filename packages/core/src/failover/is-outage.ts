import { UnavailableError } from '../errors.js'

/** Codes with which this process refuses a call by a limit or a `close()` of its own: Redis may be well. */
const ownRefusals: ReadonlySet<string> = new Set(['OVERLOADED', 'CONNECTION_CLOSED'])

/**
 * Whether an error says that Redis can't answer, so that memory may answer instead. What a process refuses by its
 * own limits is no outage: memory does not know what Redis holds, and the caller can shed load or slow down.
 */
export function isOutage(error: unknown): error is UnavailableError {
  return UnavailableError.isInstance(error) && !ownRefusals.has(error.code)
}
