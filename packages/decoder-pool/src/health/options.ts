import { type Duration, InvalidOptionError } from '@evenkeel/core'
import { durationMs, wholeNumber } from '@evenkeel/core/kit'

export interface ProbeOptions {
  /** Time between two probes of a node by one coordinator, with a tenth of jitter. @default '5s' */
  readonly interval?: Duration | undefined
  /** Time after which an unanswered probe has failed. @default '2s' */
  readonly timeout?: Duration | undefined
  /** Failed probes in a row that take a node out; after the first, the next ones follow quickly. @default 2 */
  readonly unhealthyAfter?: number | undefined
  /** Successful probes in a row that bring it back. @default 1 */
  readonly healthyAfter?: number | undefined
  /** Number of coordinators that probe a node, while they can share results through Redis. @default 2 */
  readonly probers?: number | undefined
  /** Also calls `GET /loaded_adapters`, if a node has it. @default true */
  readonly adapters?: boolean | undefined
}

export interface OutlierOptions {
  /** Period over which outcomes are collected and compared. @default '10s' */
  readonly window?: Duration | undefined
  /** Duration of a first ejection; each further one is longer by the same time. @default '30s' */
  readonly ejectFor?: Duration | undefined
  /** Maximum duration of an ejection. @default '5m' */
  readonly ejectAtMost?: Duration | undefined
  /** Ejects nodes that fail much more often than the others. @default true */
  readonly successRate?: boolean | undefined
  /** Ejects nodes that are much slower than the others for three windows. @default true */
  readonly latency?: boolean | undefined
}

export interface ResolvedProbe {
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly unhealthyAfter: number
  readonly healthyAfter: number
  readonly probers: number
  readonly adapters: boolean
}

export interface ResolvedOutliers {
  readonly windowMs: number
  readonly ejectForMs: number
  readonly ejectAtMostMs: number
  readonly successRate: boolean
  readonly latency: boolean
}

export function resolveProbe(probe: ProbeOptions | false): ResolvedProbe | undefined {
  if (probe === false) return undefined
  return {
    intervalMs: durationMs('probe.interval', probe.interval ?? '5s', { minMs: 10 }),
    timeoutMs: durationMs('probe.timeout', probe.timeout ?? '2s', { minMs: 10 }),
    unhealthyAfter: wholeNumber('probe.unhealthyAfter', probe.unhealthyAfter ?? 2),
    healthyAfter: wholeNumber('probe.healthyAfter', probe.healthyAfter ?? 1),
    probers: wholeNumber('probe.probers', probe.probers ?? 2),
    adapters: flag('probe.adapters', probe.adapters ?? true),
  }
}

export function resolveOutliers(outliers: OutlierOptions): ResolvedOutliers {
  const ejectForMs = durationMs('outliers.ejectFor', outliers.ejectFor ?? '30s', { minMs: 10 })
  return {
    windowMs: durationMs('outliers.window', outliers.window ?? '10s', { minMs: 10 }),
    ejectForMs,
    ejectAtMostMs: durationMs('outliers.ejectAtMost', outliers.ejectAtMost ?? Math.max(300_000, ejectForMs), {
      minMs: ejectForMs,
    }),
    successRate: flag('outliers.successRate', outliers.successRate ?? true),
    latency: flag('outliers.latency', outliers.latency ?? true),
  }
}

function flag(field: string, value: boolean): boolean {
  if (typeof value !== 'boolean') throw new InvalidOptionError(field, 'true or false', value)
  return value
}
