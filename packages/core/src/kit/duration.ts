import { InvalidOptionError } from '../errors.js'

interface FieldError {
  new (field: string, expected: string, got: unknown): Error
}

type Unit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w'

/** Milliseconds as a number, or a number with its unit: `'250ms'`, `'30s'`, `'5m'`, `'1h'`, `'30d'`, `'2w'`. */
export type Duration = number | `${number}${Unit}`

const unitMs: Record<Unit, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

const shape = /^(\d+(?:\.\d+)?)(ms|s|m|h|d|w)$/

export interface DurationBounds {
  /** @default 0 */
  minMs?: number
  /** @default 100 years */
  maxMs?: number
}

const centuryMs = 100 * 365 * unitMs.d

/** Converts a {@link Duration} to milliseconds. Throws an {@link InvalidOptionError} that names `field`. */
export function durationMs(
  field: string,
  value: Duration,
  bounds: DurationBounds = {},
  Failure: FieldError = InvalidOptionError,
): number {
  const { minMs = 0, maxMs = centuryMs } = bounds
  const ms = typeof value === 'number' ? value : parse(value)
  if (Number.isNaN(ms) || ms < minMs || ms > maxMs) {
    throw new Failure(
      field,
      `a duration from ${minMs} to ${maxMs} ms, as a number of milliseconds or like '30s', '1h', '30d'`,
      value,
    )
  }
  return ms
}

function parse(text: unknown): number {
  const match = typeof text === 'string' ? shape.exec(text) : null
  return match ? Number(match[1]) * unitMs[match[2] as Unit] : Number.NaN
}
