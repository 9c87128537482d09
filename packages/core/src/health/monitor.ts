import { createLog } from '../kit/log.js'
import { type LongTimer, setLongTimeout } from '../kit/timers.js'
import { type Alert, type AlertName, type AlertThresholds, alertsOf } from './alerts.js'
import type { HealthReport } from './report.js'

const log = createLog('core')

const clockJumpMs = 2_000

export interface MonitorEvents {
  report(report: HealthReport): void
  alert(alert: Alert): void
  cleared(name: AlertName): void
}

/** Repeats health checks, never two at once, and reports each alert once until it clears. */
export class HealthMonitor {
  readonly #check: () => Promise<HealthReport>
  readonly #intervalMs: number
  readonly #thresholds: AlertThresholds
  readonly #events: MonitorEvents
  readonly #held = new Set<AlertName>()
  #timer: LongTimer | undefined
  #running = false
  #clocksApart = Date.now() - performance.now()

  constructor(
    check: () => Promise<HealthReport>,
    intervalMs: number,
    thresholds: AlertThresholds,
    events: MonitorEvents,
  ) {
    this.#check = check
    this.#intervalMs = intervalMs
    this.#thresholds = thresholds
    this.#events = events
  }

  start(): void {
    if (this.#running) return
    this.#running = true
    void this.look()
  }

  stop(): void {
    this.#running = false
    this.#timer?.clear()
  }

  /** Runs one check, reports its result, and schedules the next check. */
  async look(): Promise<void> {
    this.#timer?.clear()
    const report = await this.#check()
    if (!this.#running) return
    this.#events.report(report)
    this.#tell(alertsOf(report, this.#thresholds, this.#held, this.#clockJumped()))
    this.#timer = setLongTimeout(() => void this.look(), this.#intervalMs)
  }

  #tell(alerts: readonly Alert[]): void {
    for (const alert of alerts) {
      if (this.#held.has(alert.name)) continue
      this.#held.add(alert.name)
      log('alert: %s', alert.message)
      this.#events.alert(alert)
    }
    for (const name of [...this.#held]) {
      if (alerts.some((alert) => alert.name === name)) continue
      this.#held.delete(name)
      this.#events.cleared(name)
    }
  }

  #clockJumped(): boolean {
    const apart = Date.now() - performance.now()
    const jumped = Math.abs(apart - this.#clocksApart) > clockJumpMs
    this.#clocksApart = apart
    return jumped
  }
}
