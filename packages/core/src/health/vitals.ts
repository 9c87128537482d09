import type { ClientPort } from '../clients/port.js'
import type { ConnectionState } from '../connection/state.js'
import type { LatencyHistogram } from './latency.js'
import type { HealthReport, PairHealth } from './report.js'

/** What a connection knows about itself without asking Redis. */
export interface Vitals {
  readonly state: ConnectionState
  readonly topology: ClientPort['topology'] | undefined
  readonly client: ClientPort['library'] | undefined
  readonly latency: LatencyHistogram
  readonly inFlight: number
  readonly breaker: HealthReport['breaker']
  readonly pairs: readonly PairHealth[]
}
