import type { Connection } from '../connection/connection.js'

export interface HealthHandlerOptions {
  /** Longest wait for a report; later ones are told as they were. @default 40 */
  readonly maxWaitMs?: number | undefined
}

type Reports = Awaited<ReturnType<Connection['health']>>

/**
 * Health over HTTP, as a fetch-style handler: `GET /health` (200, or 503 when a connection is unhealthy),
 * `GET /health/redis` (the whole report) and `GET /health/live` (200 as long as this process runs: an
 * outage of Redis is no reason to restart it). Answers within `maxWaitMs`, also while Redis hangs.
 */
export function createHealthHandler(
  redis: Connection | readonly Connection[],
  { maxWaitMs = 40 }: HealthHandlerOptions = {},
): (request: Request) => Promise<Response> {
  const checks = (Array.isArray(redis) ? (redis as readonly Connection[]) : [redis as Connection]).map(
    (connection) => new LatestReport(connection, maxWaitMs),
  )
  return async (request) => {
    const path = new URL(request.url).pathname.replace(/\/+$/, '')
    const routes = ['/health', '/health/redis', '/health/live']
    const route = routes.find((known) => path === known || path.endsWith(known))
    if (route === undefined)
      return json(404, { error: `There is no ${path}; there are ${routes.join(', ')}` })
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return json(405, { error: 'GET only' }, { allow: 'GET, HEAD' })
    if (route === '/health/live') return json(200, { status: 'alive' })
    const reports = await Promise.all(checks.map((check) => check.read()))
    const status = reports.some((report) => report?.status === 'unhealthy' || report === undefined)
      ? 503
      : 200
    if (route === '/health/redis') return json(status, reports.length === 1 ? reports[0] : reports)
    return json(status, {
      status: worst(reports),
      reasons: reports.flatMap((report) => report?.reasons ?? ['not known yet']),
    })
  }
}

/** One check at a time; who asks while it takes long gets the one before. */
class LatestReport {
  #running: Promise<Reports> | undefined
  #last: Reports | undefined

  constructor(
    private readonly redis: Connection,
    private readonly maxWaitMs: number,
  ) {}

  async read(): Promise<Reports | undefined> {
    // A connection that is down needs no round trip to say so.
    if (this.redis.state !== 'up') this.#last = await this.redis.health()
    if (this.redis.state !== 'up') return this.#last
    this.#running ??= this.redis.health().finally(() => {
      this.#running = undefined
    })
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), this.maxWaitMs)
    })
    this.#last = (await Promise.race([this.#running, patience])) ?? this.#last
    clearTimeout(timer)
    return this.#last
  }
}

function worst(reports: readonly (Reports | undefined)[]): string {
  const statuses = reports.map((report) => report?.status ?? 'unhealthy')
  return ['unhealthy', 'degraded'].find((status) => statuses.some((one) => one === status)) ?? 'healthy'
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers },
  })
}
