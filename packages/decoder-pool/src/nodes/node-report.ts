import { InvalidInputError } from '@evenkeel/core'

/** A node's report about itself. */
export interface NodeReport {
  /** Number of requests that the node is serving, from all callers. */
  readonly running?: number | undefined
  /** Number of requests that wait at the node. @default 0 */
  readonly waiting?: number | undefined
  /** Adapters that the node has loaded; replaces the known list. */
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
