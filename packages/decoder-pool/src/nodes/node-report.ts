import { InvalidInputError } from '@evenkeel/core'

/** What a node says of itself. */
export interface NodeReport {
  /** Requests that it serves, of all callers. */
  readonly running?: number | undefined
  /** Requests that wait at the node. @default 0 */
  readonly waiting?: number | undefined
  /** Adapters that it has loaded; replaces what was known. */
  readonly adapters?: readonly string[] | undefined
  readonly draining?: boolean | undefined
}

/** @throws INVALID_INPUT that names the field */
export function checkReport({ running, waiting, adapters, draining }: NodeReport): void {
  for (const [field, value] of Object.entries({ running, waiting })) {
    if (value !== undefined && value !== null && !(Number.isFinite(value) && Number(value) >= 0)) {
      throw new InvalidInputError(field, 'a number from 0', value)
    }
  }
  const isList = Array.isArray(adapters) && adapters.every((name) => typeof name === 'string')
  if (adapters !== undefined && adapters !== null && !isList) {
    throw new InvalidInputError('adapters', 'a list of texts', adapters)
  }
  if (draining !== undefined && draining !== null && typeof draining !== 'boolean') {
    throw new InvalidInputError('draining', 'true or false', draining)
  }
}
