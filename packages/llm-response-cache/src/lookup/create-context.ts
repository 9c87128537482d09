import { createSpans, type Spans } from '@evenkeel/core/kit'
import type { CallScope } from '../call-options.js'
import { Compression } from '../entry/compression.js'
import { EntrySealer } from '../entry/encryption.js'
import { CacheClosedError } from '../errors.js'
import { FunctionNames } from '../key/function-names.js'
import type { ResolvedOptions } from '../options.js'
import { AbandonedWork } from '../streams/abandoned.js'
import { TieredStore } from '../tiers/tiered-store.js'
import { Metrics } from '../usage/metrics.js'
import type { Prices } from '../usage/prices.js'
import { SharedStats } from '../usage/shared-stats.js'
import { StatsBook } from '../usage/stats.js'
import { Calls } from './calls.js'
import type { LookupContext } from './context.js'
import { FlightCoordinator } from './flight.js'

export interface CacheContext extends LookupContext {
  readonly sharedStats: SharedStats
  /** The application's text as a part of a name; an HMAC of it if `encrypt` hides names. */
  shown(tenant: string, text: string): string
  readonly functionNames: FunctionNames
  /** `undefined` if the application wants none. */
  readonly spans: Spans | undefined
  close(): Promise<void>
}

/** `kind` names the cache in metrics, `room` its keys. */
export function createContext(
  options: ResolvedOptions,
  { kind, room }: { readonly kind: string; readonly room: string },
  prices: Prices,
  scope: CallScope,
): CacheContext {
  const { encrypt, compress, telemetry, redis } = options
  const sealer = encrypt && new EntrySealer(encrypt)
  const tiers = new TieredStore(options, room, sealer, new Compression(compress))
  const coordinator = new FlightCoordinator(tiers, options)
  const stats = new StatsBook(prices)
  const metrics = new Metrics(kind, telemetry, stats, () => tiers.held)
  const sharedStats = new SharedStats(redis, kind, stats)
  const calls = new Calls()
  tiers.calls = calls
  const closeAll = async () => {
    for (const call of calls.values()) call.end(new CacheClosedError())
    await Promise.all([coordinator.close(), sharedStats.close()])
    metrics.close()
    tiers.close()
  }
  let closing: Promise<void> | undefined
  return {
    options,
    tiers,
    coordinator,
    stats,
    metrics,
    scope,
    sharedStats,
    calls,
    spans: createSpans('@evenkeel/llm-response-cache', telemetry),
    abandoned: new AbandonedWork(options.maxAbandoned),
    shown: (tenant, text) => sealer?.hideName(tenant, text) ?? text,
    functionNames: new FunctionNames(),
    close: () => {
      closing ??= closeAll()
      return closing
    },
  }
}
