import {
  type Clock,
  type Connection,
  type Duration,
  InvalidOptionError,
  type TelemetryOptions,
} from '@evenkeel/core'
import { durationMs, resolveTelemetry, systemClock } from '@evenkeel/core/kit'
import { type StrategyName, strategyNames } from './balancing/strategy.js'
import {
  type OutlierOptions,
  type ProbeOptions,
  type ResolvedOutliers,
  type ResolvedProbe,
  resolveOutliers,
  resolveProbe,
} from './health/options.js'

export interface DecoderPoolOptions {
  /** Where the registry lives; left out, it lives in this process and its file. */
  readonly redis?: Connection | undefined
  /** Names the pool; coordinators of one name share it. @default 'default' */
  readonly name?: string | undefined
  /** A JSON mirror of the pool, loaded where Redis is away at the start. */
  readonly file?: string | undefined
  /** This coordinator's region: its nodes are preferred. */
  readonly region?: string | undefined
  /** `GET /health` of nodes, shared with the other coordinators; `false` for none, and to hear others only. */
  readonly probe?: ProbeOptions | false | undefined
  /** Time without a lease renewal or an answered probe before a node is suspect. @default '30s' */
  readonly lease?: Duration | undefined
  /** Time without an answered probe before a suspect is removed. @default '10m' */
  readonly removeAfter?: Duration | undefined
  /** Looks at the registry's version, in case a message was lost. @default '2s' */
  readonly pollInterval?: Duration | undefined
  /** Failed requests in a row that take a node out for a while. @default 3 */
  readonly ejectAfter?: number | undefined
  /** Compares nodes by what their requests come to, and says how long an outlier is out. */
  readonly outliers?: OutlierOptions | undefined
  /** How a node is chosen among those that fit. @default 'least-loaded' */
  readonly strategy?: StrategyName | undefined
  /** How much busier (as a share of its capacity) a node with the adapter may be than one without it. @default 0.3 */
  readonly adapterMargin?: number | undefined
  /** Time during which a new or recovered node is given less than its share. @default '30s' */
  readonly slowStart?: Duration | undefined
  /**
   * Who counts requests against a node's capacity. `'global'`: all coordinators together, in Redis; a round trip for
   * each request, shared by those that come at once. `'local'`: each for itself, up to its even part of the
   * capacity. Without Redis it is all the same. @default 'global'
   */
  readonly slots?: 'global' | 'local' | undefined
  /**
   * While Redis is away each coordinator may fill again the slots that it had. `'share'`: and its part of those that
   * were free as it last heard, so that a node may be given more by what others took in that last second. `'hold'`:
   * and no others, so that it never is; a coordinator that had none has none. @default 'share'
   */
  readonly outageSlots?: 'share' | 'hold' | undefined
  /** How long a request may take: so long after Redis went away slots hold as they were. @default '10m' */
  readonly longestRequest?: Duration | undefined
  /** Callers that wait for a slot in `acquire`. @default 10_000 */
  readonly maxWaiting?: number | undefined
  /** PoolMetrics, where the host has registered OpenTelemetry. @default true */
  readonly telemetry?: boolean | TelemetryOptions | undefined
  readonly clock?: Clock | undefined
  /** A number from 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly name: string
  readonly file: string | undefined
  readonly region: string | undefined
  readonly probe: ResolvedProbe | undefined
  readonly leaseMs: number
  readonly removeAfterMs: number
  readonly pollIntervalMs: number
  readonly ejectAfter: number
  readonly outliers: ResolvedOutliers
  readonly strategy: StrategyName
  readonly adapterMargin: number
  readonly slowStartMs: number
  readonly slots: 'global' | 'local'
  readonly outageSlots: 'share' | 'hold'
  readonly longestRequestMs: number
  readonly maxWaiting: number
  readonly telemetry: boolean | TelemetryOptions
  readonly clock: Clock
  readonly random: () => number
  /** In milliseconds, for tests. @default the server's own */
  readonly registryTime?: (() => number) | undefined
}

export function resolveOptions(options: DecoderPoolOptions): ResolvedOptions {
  const { name = 'default', probe = {} } = options
  if (typeof name !== 'string' || name === '' || name.length > 256) {
    throw new InvalidOptionError('name', 'text of 1 to 256 characters', name)
  }
  return {
    redis: options.redis,
    name,
    file: optionalText('file', options.file),
    region: optionalText('region', options.region),
    probe: resolveProbe(probe),
    leaseMs: durationMs('lease', options.lease ?? '30s', { minMs: 100 }),
    removeAfterMs: durationMs('removeAfter', options.removeAfter ?? '10m', { minMs: 100 }),
    pollIntervalMs: durationMs('pollInterval', options.pollInterval ?? '2s', { minMs: 10 }),
    ejectAfter: whole('ejectAfter', options.ejectAfter ?? 3),
    outliers: resolveOutliers(options.outliers ?? {}),
    strategy: oneOf('strategy', strategyNames, options.strategy ?? 'least-loaded'),
    adapterMargin: margin(options.adapterMargin ?? 0.3),
    slowStartMs: durationMs('slowStart', options.slowStart ?? '30s'),
    slots: oneOf('slots', ['global', 'local'], options.slots ?? 'global'),
    outageSlots: oneOf('outageSlots', ['share', 'hold'], options.outageSlots ?? 'share'),
    longestRequestMs: durationMs('longestRequest', options.longestRequest ?? '10m'),
    maxWaiting: whole('maxWaiting', options.maxWaiting ?? 10_000),
    telemetry: resolveTelemetry(options.telemetry ?? true),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
}

function oneOf<T extends string>(field: string, values: readonly T[], value: T): T {
  if (!values.includes(value)) throw new InvalidOptionError(field, values.join(', '), value)
  return value
}

function margin(value: number): number {
  if (typeof value !== 'number' || !(value >= 0)) {
    throw new InvalidOptionError('adapterMargin', 'a number from 0', value)
  }
  return value
}

function whole(field: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidOptionError(field, 'a whole number from 1', value)
  return value
}

function optionalText(field: string, value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '') throw new InvalidOptionError(field, 'text', value)
  return value
}
