import type { Connection } from '../connection/connection.js'
import { type Duration, durationMs } from '../kit/duration.js'
import { checkSubject, createKeyspace } from '../kit/keys.js'
import { option } from '../kit/validate.js'

export interface LockOptions {
  /** How long a holder that vanished keeps others out; renewed at a third of it. @default '10s' */
  readonly ttl?: Duration | undefined
  /** How long to wait for a lock that another holds. @default 0, not at all */
  readonly wait?: Duration | undefined
  /** Ends the waiting, with the signal's own reason; a lock that comes after it is given back. */
  readonly signal?: AbortSignal | undefined
  /**
   * What happens without Redis: an error, or a lock that excludes only this process (`'local'`).
   * @default 'throw'
   */
  readonly onOutage?: 'throw' | 'local' | undefined
}

/** A lock of less would end before its renewals could be answered. */
export const minTtlMs = 100

export interface ResolvedLockOptions {
  readonly redis: Connection | undefined
  readonly resource: string
  /** The lock's full key: what tells locks of one process apart. */
  readonly name: string
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
  const { onOutage = 'throw' } = option.members('', options, {
    ttl: true,
    wait: true,
    signal: true,
    onOutage: true,
  })
  return {
    redis,
    resource: checkSubject('resource', resource),
    name: createKeyspace(redis?.namespace ?? '', 'lock').key(resource),
    ttlMs: durationMs('ttl', options.ttl ?? 10_000, { minMs: minTtlMs }),
    waitMs: durationMs('wait', options.wait ?? 0),
    signal: options.signal,
    onOutage: option.oneOf('onOutage', onOutage, ['throw', 'local']),
  }
}
