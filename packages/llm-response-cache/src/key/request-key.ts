import { canonicalHash, UnkeyableError } from './canonical.js'

/** Why a request is passed on without a look at the cache. */
export type BypassReason =
  | 'endpoint'
  | 'method'
  | 'body'
  | 'stateful'
  | 'side-effects'
  | 'asked-for'
  | 'too-large'

export type RequestKey =
  | { readonly cacheable: true; readonly key: string; readonly model: string; readonly streamed: boolean }
  | { readonly cacheable: false; readonly reason: BypassReason }

/** Endpoints whose answer is a function of the request, by the end of their path. */
const endpoints = [
  '/chat/completions',
  '/completions',
  '/embeddings',
  '/responses',
  '/messages',
  '/moderations',
  '/rerank',
]

/** Fields that change transport, billing or bookkeeping, never the answer. Everything else counts. */
const withoutEffect = new Set([
  'metadata',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
  'service_tier',
  'store',
  'stream',
  'stream_options',
  'user',
])

/** Fields by which an answer depends on more than the request. */
const stateful = ['previous_response_id', 'conversation', 'background']

/** Tools that the provider runs itself, on a world that changes. */
const sideEffects =
  /^(web_search|web_fetch|file_search|code_interpreter|code_execution|computer|mcp|image_generation|bash)/

/** Larger requests are not worth hashing; they are passed on. */
const maxBodyLength = 16 << 20

/**
 * The key of a provider call as it goes over HTTP: endpoint, API version, model and everything else that
 * changes the answer. Headers with credentials stay out; tenants are kept apart by the namespace.
 */
export function requestKey(url: URL, method: string, headers: Headers, body: unknown): RequestKey {
  if (!endpoints.some((end) => url.pathname.endsWith(end))) return bypass('endpoint')
  if (method !== 'POST') return bypass('method')
  if (typeof body !== 'string') return bypass('body')
  if (body.length > maxBodyLength) return bypass('too-large')
  const request = parseObject(body)
  if (request === undefined) return bypass('body')
  if (stateful.some((field) => request[field])) return bypass('stateful')
  if (runsProviderTools(request)) return bypass('side-effects')
  const params = Object.fromEntries(Object.entries(request).filter(([name]) => !withoutEffect.has(name)))
  const streamed = request.stream === true
  try {
    const versions = [
      url.searchParams.get('api-version'),
      headers.get('anthropic-version'),
      headers.get('anthropic-beta'),
    ]
    const key = canonicalHash('fetch', url.host, url.pathname, versions, params, streamed)
    return {
      cacheable: true,
      key,
      model: typeof request.model === 'string' ? request.model : 'unknown',
      streamed,
    }
  } catch (error) {
    if (error instanceof UnkeyableError) return bypass('body')
    throw error
  }
}

function bypass(reason: BypassReason): RequestKey {
  return { cacheable: false, reason }
}

export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

function runsProviderTools({ tools }: Record<string, unknown>): boolean {
  if (!Array.isArray(tools)) return false
  return tools.some((tool) => sideEffects.test(String((tool as { type?: unknown } | null)?.type ?? '')))
}
