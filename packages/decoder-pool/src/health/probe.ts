import { createLog } from '@evenkeel/core'

const log = createLog('decoder-pool')

/** `'timeout'`: no answer in time, which a busy node may give as well as a dead one. */
export type ProbeOutcome = 'ok' | 'failed' | 'timeout'

/** What a list of adapters may at most take; a node is not to fill this process. */
const maxBytes = 64 << 10
const maxAdapters = 256
const maxNameLength = 512

/** `GET /health`: any 2xx is good. Redirects are not followed: a node must not send its prober elsewhere. */
export async function probeHealth(
  endpoint: string,
  timeoutMs: number,
  stop: AbortSignal,
): Promise<ProbeOutcome> {
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(`${endpoint}/health`, {
      signal: AbortSignal.any([stop, timeout]),
      redirect: 'error',
    })
    await response.body?.cancel()
    return response.ok ? 'ok' : 'failed'
  } catch (error) {
    log('probe of %s failed: %s', endpoint, error)
    return timeout.aborted ? 'timeout' : 'failed'
  }
}

/**
 * `GET /loaded_adapters`. `'absent'`: the node has no such path (404, 405, 501). Nothing where the answer failed
 * or is no list: what was known of the node stays.
 */
export async function askAdapters(
  endpoint: string,
  timeoutMs: number,
  stop: AbortSignal,
): Promise<readonly string[] | 'absent' | undefined> {
  try {
    const response = await fetch(`${endpoint}/loaded_adapters`, {
      signal: AbortSignal.any([stop, AbortSignal.timeout(timeoutMs)]),
      redirect: 'error',
    })
    if (response.ok) return adaptersIn(JSON.parse(await textOf(response)))
    await response.body?.cancel()
    return [404, 405, 501].includes(response.status) ? 'absent' : undefined
  } catch (error) {
    log('adapters of %s are not known: %s', endpoint, error)
    return undefined
  }
}

/** A plain list, or one under `adapters`, `loaded_adapters`, `hot_adapters` or `data`; of names, or objects with `id` or `name`. */
export function adaptersIn(body: unknown): readonly string[] | undefined {
  const list = Array.isArray(body) ? body : listIn(body)
  const names = list?.map(nameOf)
  // Half of a list would take adapters away that are there.
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
