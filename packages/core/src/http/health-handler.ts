import type { Connection } from '../connection/connection.js'
import { InvalidOptionError } from '../errors.js'
import type { HealthReport } from '../health/report.js'
import type { Duration } from '../kit/duration.js'
import { setLongTimeout } from '../kit/timers.js'
import { option } from '../kit/validate.js'
import {
  type Authorize,
  checkAuthorize,
  forbidden,
  isAllowed,
  json,
  methodNotAllowed,
  notFound,
  withoutEndingSlashes,
} from './responses.js'

export interface HealthHandlerOptions {
  /**
   * Whether a request may see details: the reasons, which name hosts and ports, and the report with the server's
   * version, memory and role. All other requests get only the status, and so do all requests without `authorize`.
   */
  readonly authorize?: Authorize | undefined
  /** Longest wait for a health check; if it takes longer, the previous report is used. @default '40ms' */
  readonly maxWait?: Duration | undefined
}

const routes = ['/health', '/health/redis', '/health/live']

/**
 * A fetch-style handler for health checks: `GET /health` (200, or 503 if a connection is unhealthy),
 * `GET /health/redis` (the whole report, for authorized requests) and `GET /health/live` (200 while the process runs:
 * an outage of Redis is no reason to restart it). It answers within `maxWait` even while Redis hangs.
 *
 * @throws InvalidOptionError for a wrong option, or for no connection
 */
export function createHealthHandler(
  redis: Connection | readonly Connection[],
  options: HealthHandlerOptions = {},
): (request: Request) => Promise<Response> {
  option.members('', options, { authorize: true, maxWait: true })
  const { authorize } = options
  if (authorize !== undefined) checkAuthorize(authorize)
  const maxWaitMs = option.duration('maxWait', options.maxWait ?? '40ms')
  const connections = Array.isArray(redis) ? (redis as readonly Connection[]) : [redis as Connection]
  if (connections.length === 0) throw new InvalidOptionError('redis', 'at least one connection', redis)
  const checks = connections.map((connection) => new LatestReport(connection, maxWaitMs))
  return async (request) => {
    const path = withoutEndingSlashes(new URL(request.url).pathname)
    const route = routes.find((known) => path.endsWith(known))
    if (route === undefined) return notFound(routes)
    if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed('GET, HEAD')
    if (route === '/health/live') return json(200, { status: 'alive' })
    const showsDetails = authorize !== undefined && (await isAllowed(authorize, request))
    if (route === '/health/redis' && authorize !== undefined && !showsDetails) return forbidden()
    const known = await Promise.all(checks.map((check) => check.read()))
    const status = worst(known.map((one) => one.status))
    const code = status === 'unhealthy' ? 503 : 200
    if (!showsDetails) return json(code, { status })
    if (route === '/health/redis') return json(code, known.length === 1 ? known[0] : known)
    return json(code, { status, reasons: known.flatMap((one) => one.reasons) })
  }
}

/** A report, or what is known before there is one. */
type Known = HealthReport | Pick<HealthReport, 'status' | 'reasons'>

/** Runs one check at a time. If the check takes longer than `maxWait`, the caller gets the previous report. */
class LatestReport {
  #running: Promise<HealthReport> | undefined
  #last: HealthReport | undefined

  constructor(
    private readonly redis: Connection,
    private readonly maxWaitMs: number,
  ) {}

  async read(): Promise<Known> {
    // If the connection is down, no round trip is needed.
    if (this.redis.state !== 'up') this.#last = await this.redis.health()
    if (this.redis.state !== 'up') return this.#known()
    this.#running ??= this.redis.health().finally(() => {
      this.#running = undefined
    })
    let stop = () => {}
    const patience = new Promise<undefined>((resolve) => {
      const timer = setLongTimeout(() => resolve(undefined), this.maxWaitMs, { ref: true })
      stop = () => timer.clear()
    })
    this.#last = (await Promise.race([this.#running, patience])) ?? this.#last
    stop()
    return this.#known()
  }

  #known(): Known {
    if (this.#last !== undefined) return this.#last
    return { status: this.redis.state === 'up' ? 'healthy' : 'unhealthy', reasons: ['no report yet'] }
  }
}

function worst(statuses: readonly HealthReport['status'][]): HealthReport['status'] {
  return (['unhealthy', 'degraded'] as const).find((status) => statuses.includes(status)) ?? 'healthy'
}
