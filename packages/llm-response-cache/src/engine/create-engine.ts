import type { CallScope } from '../call-options.js'
import { Compression } from '../entry/compression.js'
import { Sealer } from '../entry/seal.js'
import { Vault } from '../level/vault.js'
import type { ResolvedOptions } from '../options.js'
import { Metrics } from '../usage/metrics.js'
import type { Prices } from '../usage/prices.js'
import { SharedStats } from '../usage/shared-stats.js'
import { StatsBook } from '../usage/stats.js'
import { Coordinator } from './coordinator.js'
import type { Engine } from './engine.js'

export interface EngineParts extends Engine {
  readonly sharedStats: SharedStats
  /** `kind:text`, the text hidden where names are. */
  shownName(namespace: string, kind: string, text: string): string
  close(): void
}

export function createEngine(
  options: ResolvedOptions,
  kind: string,
  prices: Prices,
  scope: CallScope,
): EngineParts {
  const { encrypt, compress, telemetry, redis } = options
  const sealer = encrypt && new Sealer(encrypt)
  const vault = new Vault(options, sealer, new Compression(compress))
  const coordinator = new Coordinator(vault, options)
  const stats = new StatsBook(prices)
  const metrics = new Metrics(kind, telemetry, stats, () => vault.held)
  const sharedStats = new SharedStats(redis, kind, stats)
  return {
    ...{ options, vault, coordinator, stats, metrics, scope, sharedStats },
    shownName: (namespace, name, text) => `${name}:${sealer?.hideName(namespace, text) ?? text}`,
    close: () => {
      coordinator.close()
      sharedStats.close()
      metrics.close()
      vault.close()
    },
  }
}
