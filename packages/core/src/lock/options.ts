import type { Connection } from '../connection/connection.js'
import { type Duration, durationMs } from '../kit/duration.js'
import { checkSubject, createKeyspace } from '../kit/keys.js'
import { option } from '../kit/validate.js'

export interface LockOptions {
  /**
   * How long a holder that has crashed keeps others out; at least 100 ms. A live holder renews it after each third.
   * @default '10s'
   */
  readonly ttl?: Duration | undefined
  /** How long to wait for a lock that is held. @default 0, not at all */
  readonly wait?: Duration | undefined
  /** Stops the waiting; the call rejects with the signal's reason. A lock that arrives later is released. */
  readonly signal?: AbortSignal | undefined
  /**
   * Without Redis, the call rejects (`'throw'`) or takes a lock that excludes only this process (`'local'`).
   * @default 'throw'
   */
  readonly onOutage?: 'throw' | 'local' | undefined
}

/** A shorter lock would end before its renewals could be answered. */
export const minTtlMs = 100

export interface ResolvedLockOptions {
  readonly redis: Connection | undefined
  readonly resource: string
  /** The lock's full key, which identifies it within the process. */
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
