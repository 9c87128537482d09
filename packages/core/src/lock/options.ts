import type { Connection } from '../connection/connection.js'
import { InvalidOptionError } from '../errors.js'
import { type Duration, durationMs } from '../kit/duration.js'
import { checkSubject } from '../kit/keys.js'

export interface LockOptions {
  /** How long a holder that vanished keeps others out; renewed at a third of it. @default '10s' */
  readonly ttl?: Duration | undefined
  /** How long to wait for a lock that another holds. @default 0, not at all */
  readonly wait?: Duration | undefined
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
  /**
   * What happens without Redis: an error, or a lock that excludes only this process (`'local'`).
   * @default 'throw'
   */
  readonly onOutage?: 'throw' | 'local' | undefined
}

export interface ResolvedLockOptions {
  readonly redis: Connection | undefined
  readonly resource: string
  readonly ttlMs: number
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
  readonly onOutage: 'throw' | 'local'
}

export function resolveLockOptions(
  redis: Connection | undefined,
  resource: string,
  options: LockOptions,
): ResolvedLockOptions {
  const { onOutage = 'throw' } = options
  if (onOutage !== 'throw' && onOutage !== 'local')
    throw new InvalidOptionError('onOutage', "'throw' or 'local'", onOutage)
  return {
    redis,
    resource: checkSubject('resource', resource),
    ttlMs: durationMs('ttl', options.ttl ?? 10_000, { minMs: 100 }),
    waitMs: durationMs('wait', options.wait ?? 0),
    signal: options.signal,
    onOutage,
  }
}
