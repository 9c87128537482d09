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
  /** Connection to the Redis of the registry. Without it, the registry lives in this process and its `file`. */
  readonly redis?: Connection | undefined
  /** Name of the pool; coordinators with the same name share it. @default 'default' */
  readonly name?: string | undefined
  /** Path of a JSON copy of the pool, which is loaded if Redis is away at the start. */
  readonly file?: string | undefined
  /** This coordinator's region, whose nodes are preferred. */
  readonly region?: string | undefined
  /** Probes of the nodes' `GET /health`, shared by all coordinators. `false`: this one only uses others' results. */
  readonly probe?: ProbeOptions | false | undefined
  /** Time without a lease renewal or an answered probe before a node is suspect. @default '30s' */
  readonly lease?: Duration | undefined
  /** Time without an answered probe before a suspect node is removed. @default '10m' */
  readonly removeAfter?: Duration | undefined
  /** Interval of checks of the registry's version, in case a message was lost. @default '2s' */
  readonly pollInterval?: Duration | undefined
  /** Failed requests in a row that eject a node for a while. @default 3 */
  readonly ejectAfter?: number | undefined
  /** How nodes are compared by the outcomes of their requests, and how long an outlier is ejected. */
  readonly outliers?: OutlierOptions | undefined
  /** How a node is chosen among those that match. @default 'least-loaded' */
  readonly strategy?: StrategyName | undefined
  /** How much busier (as a share of its capacity) a node with the adapter may be than one without it. @default 0.3 */
  readonly adapterMargin?: number | undefined
  /** Time for which a new or recovered node gets less than its share. @default '30s' */
  readonly slowStart?: Duration | undefined
  /**
   * Who counts the requests on a node against its capacity. `'global'`: all coordinators together, in Redis, with one
   * round trip for a request, shared by requests that come at once. `'local'`: each coordinator for itself, up to its
   * even share of the capacity. Without Redis there is no difference. @default 'global'
   */
  readonly slots?: 'global' | 'local' | undefined
  /**
   * Which slots a coordinator may use while Redis is away. `'share'`: those that it had, and its share of those that
   * were free when it last heard, so that a node may get more requests than its capacity if others took slots in that
   * last second. `'hold'`: only those that it had, so that no node ever does; a coordinator without slots gets none.
   * @default 'share'
   */
  readonly outageSlots?: 'share' | 'hold' | undefined
  /** Longest duration of a request: for this long after Redis goes away, slots hold as they were. @default '10m' */
  readonly longestRequest?: Duration | undefined
  /** Maximum number of callers that wait for a slot in `acquire`. @default 10_000 */
  readonly maxWaiting?: number | undefined
  /** OpenTelemetry metrics of the pool, if the host has registered OpenTelemetry. @default true */
  readonly telemetry?: boolean | TelemetryOptions | undefined
  readonly clock?: Clock | undefined
  /** Random numbers from 0 to 1, for tests. @default Math.random */
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
  /** The registry's time in milliseconds, for tests. @default the server's own */
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
