import { createLog, isError, linkSignals } from '@evenkeel/core/kit'
import { followed } from '../adapters/redirects.js'
import { send, undici } from '../adapters/transport.js'
import { drop } from '../dispatch/answer-body.js'
import { causesOf } from '../dispatch/connect-errors.js'
import type { AddressGuard } from '../nodes/addresses.js'
import type { ProbeOutcome } from './probe-record.js'

const log = createLog('decoder-pool')

export interface ProbeResult {
  readonly outcome: ProbeOutcome
  /** The node's answer, or why there was none. */
  readonly reason: string
  /** The path that was called. */
  readonly path: string
}

export interface ProbeRequest {
  readonly endpoint: string
  /** Path of the health check, below the endpoint; without it, the usual paths of engines are tried. */
  readonly healthPath?: string | undefined
  readonly timeoutMs: number
  readonly stop?: AbortSignal | undefined
  readonly guard?: AddressGuard | undefined
}

/** vLLM, SGLang, TGI, llama.cpp and most others; Triton; Ollama; any with OpenAI's API; any server at all. */
const knownPaths = ['/health', '/v2/health/ready', '/api/version', '/v1/models', '/']
/** There is no such path, and a health check may be at another one. */
const absent = new Set([404, 405, 501])

/** Maximum length of a list of adapters, so that a node can't fill this process's memory. */
const maxBytes = 64 << 10
const maxAdapters = 256
const maxNameLength = 512

/**
 * Probes a node at its health path, otherwise at the first of the usual paths of engines that exists. Any 2xx is good.
 * Redirects are followed only on the node itself, which must not send its prober elsewhere.
 */
export async function probeHealth(request: ProbeRequest): Promise<ProbeResult> {
  const paths = request.healthPath === undefined ? knownPaths : [request.healthPath]
  // Loading it takes a while, which must not count as the node's time.
  await undici()
  const timeout = AbortSignal.timeout(request.timeoutMs)
  let first: ProbeResult | undefined
  for (const path of paths) {
    try {
      const status = await statusAt(path, request, timeout)
      const reason = `${status} from ${path}`
      if (status >= 200 && status < 300) return { outcome: 'ok', reason, path }
      first ??= { outcome: 'failed', reason, path }
      if (!absent.has(status)) {
        // A node without a health path that asks for credentials at another path is alive.
        const lives = path !== paths[0] && (status === 401 || status === 403)
        return lives ? { outcome: 'ok', reason, path } : first.path === path ? first : { ...first, reason }
      }
    } catch (error) {
      const reason = timeout.aborted
        ? `no answer from ${path} within ${request.timeoutMs} ms`
        : reasonOf(error)
      log('probe of %s failed: %s', request.endpoint, reason)
      return { outcome: timeout.aborted ? 'timeout' : 'failed', reason, path }
    }
  }
  const [tried] = paths
  log('probe of %s failed: %s', request.endpoint, first?.reason)
  return first ?? { outcome: 'failed', reason: 'there is no path to ask', path: tried ?? '/' }
}

async function statusAt(path: string, request: ProbeRequest, timeout: AbortSignal): Promise<number> {
  const { endpoint, stop, guard } = request
  const looking = guard?.check(endpoint, true)
  if (looking !== undefined) await looking
  const link = linkSignals(stop, timeout)
  try {
    const response = await getBelow(endpoint, path, link.signal)
    drop(response)
    return response.status
  } finally {
    link.unlink()
  }
}

function getBelow(endpoint: string, path: string, signal: AbortSignal): Promise<Response> {
  const get = { method: 'GET', headers: new Headers(), body: undefined, dispatcher: undefined }
  return followed(`${endpoint}${path}`, { ...get, redirect: 'follow' }, (url, next) =>
    send(url, next, signal),
  )
}

/** `fetch` and similar functions name the reason in the cause. */
function reasonOf(error: unknown): string {
  const [, cause, ...deeper] = causesOf(error)
  const last = deeper.at(-1) ?? cause ?? error
  if (!isError(last)) return String(last)
  const code = 'code' in last ? String(last.code) : undefined
  return last.message || code || last.name
}

/**
 * `GET /loaded_adapters`. `'absent'`: the node has no such path (404, 405, 501). `undefined`: the answer failed or is
 * not a list, so that the known adapters stay.
 */
export async function askAdapters(
  endpoint: string,
  timeoutMs: number,
  stop: AbortSignal,
  guard?: AddressGuard | undefined,
): Promise<readonly string[] | 'absent' | undefined> {
  const link = linkSignals(stop, AbortSignal.timeout(timeoutMs))
  try {
    await guard?.check(endpoint, true)
    const response = await getBelow(endpoint, '/loaded_adapters', link.signal)
    if (response.ok) return adaptersIn(JSON.parse(await textOf(response)))
    await response.body?.cancel()
    return [404, 405, 501].includes(response.status) ? 'absent' : undefined
  } catch (error) {
    log('adapters of %s are not known: %s', endpoint, error)
    return undefined
  } finally {
    link.unlink()
  }
}

/**
 * Reads a plain list, or one under `adapters`, `loaded_adapters`, `hot_adapters` or `data`, of names or of objects with
 * `id` or `name`.
 */
export function adaptersIn(body: unknown): readonly string[] | undefined {
  const list = Array.isArray(body) ? body : listIn(body)
  const names = list?.map(nameOf)
  // An incomplete list would remove adapters that are loaded.
  if (names === undefined || names.length > maxAdapters || names.includes(undefined)) return undefined
  return [...new Set(names.filter((name) => name !== undefined))].sort()
}

function listIn(body: unknown): readonly unknown[] | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const fields = body as Record<string, unknown>
  return ['adapters', 'loaded_adapters', 'hot_adapters', 'data']
    .map((field) => fields[field])
    .find((value) => Array.isArray(value))
}

function nameOf(entry: unknown): string | undefined {
  const fields = typeof entry === 'object' && entry !== null ? (entry as Record<string, unknown>) : undefined
  const name = fields === undefined ? entry : (fields.id ?? fields.name)
  return typeof name === 'string' && name !== '' && name.length <= maxNameLength ? name : undefined
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > maxBytes) throw new Error(`more than ${maxBytes} characters`)
  }
  return text + decoder.decode()
}
