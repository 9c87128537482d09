import type { Alert, AlertName } from '../health/alerts.js'
import type { HealthReport } from '../health/report.js'

// A type, not an interface, so that it fits the emitter's index signature.
export type ConnectionEvents = {
  up(event: { readonly downForMs: number }): void
  /** Redis can't be used. A listener that is added while Redis is down is called too, in a microtask. */
  down(event: { readonly reason: string }): void
  /** A health check crossed a threshold. Emitted once until the alert clears. Listening starts the health monitor. */
  alert(alert: Alert): void
  alertCleared(name: AlertName): void
  /** A health check of the monitor has ended. */
  health(report: HealthReport): void
  /** The host called `redis.resync()`. */
  resync(): void
  close(): void
}
