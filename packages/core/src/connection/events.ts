import type { Alert, AlertName } from '../health/alerts.js'
import type { HealthReport } from '../health/report.js'

// A type, not an interface, so that it fits the emitter's index signature.
export type ConnectionEvents = {
  up(event: { readonly downForMs: number }): void
  /** Redis can't be used. Who begins to listen while that is so is called at once, in a microtask. */
  down(event: { readonly reason: string }): void
  /** Something is amiss: told once, until it clears. Listening starts the monitor. */
  alert(alert: Alert): void
  alertCleared(name: AlertName): void
  /** Each report of the monitor. */
  health(report: HealthReport): void
  /** Recovery was asked for by hand. */
  resync(): void
  close(): void
}
