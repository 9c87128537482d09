import { canonicalHashWith, UnkeyableError } from './canonical.js'
import { type Endpoint, endpoints, type KeyRules, providerTools, stateful, type Wire } from './rules.js'

/** Why a request is passed on without a look at the cache. */
export type BypassReason =
  | 'endpoint'
  | 'method'
  | 'body'
  | 'stateful'
  | 'side-effects'
  | 'files'
  | 'random'
  | 'asked-for'
  | 'too-large'

export interface CacheableRequest {
  readonly cacheable: true
  /** SHA-256 of all that changes the answer. */
  readonly key: string
  readonly model: string
  /** The host that answers. */
  readonly provider: string
  readonly endpoint: Endpoint
  readonly form: WantedForm
  /** What counts of the request. */
  readonly params: Readonly<Record<string, unknown>>
}

/** In which form the answer is wanted; one entry serves all of them. */
export interface WantedForm {
  readonly wire: Wire | undefined
  readonly streamed: boolean
  /** A stream that ends with what it used (`stream_options.include_usage`). */
  readonly usage: boolean
}

export type RequestKey = CacheableRequest | { readonly cacheable: false; readonly reason: BypassReason }

/** Larger requests are not worth hashing; they are passed on. */
const maxBodyLength = 16 << 20

/** Headers that choose another behaviour of the provider. */
const versionHeaders = ['anthropic-version', 'anthropic-beta', 'openai-beta']

/**
 * The key of a provider call as it goes over HTTP: endpoint, API version, model and everything else that
 * changes the answer. Headers with credentials stay out; tenants are kept apart by the namespace. A streamed
 * and a buffered call have one key where their answers can be turned into one another.
 */
export function requestKey(
  request: { readonly url: URL; readonly method: string; readonly headers: Headers; readonly body: unknown },
  rules: KeyRules,
  maxTemperature = Number.POSITIVE_INFINITY,
): RequestKey {
  const { url, method, headers, body } = request
  const endpoint = endpoints.find(({ path }) => path.test(url.pathname))
  if (endpoint === undefined || (endpoint.optIn === 'images' && rules.images !== true))
    return bypass('endpoint')
  if (method !== 'POST') return bypass('method')
  if (typeof body !== 'string') return bypass('body')
  if (body.length > maxBodyLength) return bypass('too-large')
  const asked = parseObject(body)
  if (asked === undefined) return bypass('body')
  if (stateful.some((field) => asked[field])) return bypass('stateful')
  if (runsProviderTools(asked, rules.allowTools ?? [])) return bypass('side-effects')
  if (rules.immutableFiles !== true && body.includes('"file_id"')) return bypass('files')
  if (isRandom(asked, maxTemperature)) return bypass('random')
  const params = paramsOf(asked, endpoint, rules)
  const streamed = asked.stream === true
  const usage =
    (asked.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true
  try {
    const key = canonicalHashWith(
      { without: new Set(endpoint.withoutEffectWithin), renameIds: rules.renameIds ?? true },
      'fetch',
      rules.salt,
      url.host,
      url.pathname,
      url.searchParams.get('api-version'),
      [...versionHeaders, ...(rules.headers ?? [])].map((name) => headers.get(name)),
      params,
      // What can't be turned into the other form is an entry of its own.
      endpoint.wire === undefined && streamed,
    )
    const form = { wire: endpoint.wire, streamed, usage: streamed && usage }
    return { cacheable: true, key, model: modelOf(asked, url), provider: url.host, endpoint, form, params }
  } catch (error) {
    if (error instanceof UnkeyableError) return bypass('body')
    throw error
  }
}

/** What counts of a request. */
export function paramsOf(
  request: Readonly<Record<string, unknown>>,
  { withoutEffect }: Pick<Endpoint, 'withoutEffect'>,
  { exclude = [], include = [] }: KeyRules,
): Record<string, unknown> {
  const left = new Set([...withoutEffect, ...exclude].filter((name) => !include.includes(name)))
  return Object.fromEntries(Object.entries(request).filter(([name]) => !left.has(name)))
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

function bypass(reason: BypassReason): RequestKey {
  return { cacheable: false, reason }
}

/** Google's APIs name the model in the path. */
function modelOf({ model }: Record<string, unknown>, url: URL): string {
  if (typeof model === 'string' && model !== '') return model
  return /\/models\/([^/:]+)/.exec(url.pathname)?.[1] ?? 'unknown'
}

function runsProviderTools({ tools }: Record<string, unknown>, allowed: readonly string[]): boolean {
  if (!Array.isArray(tools)) return false
  return tools.some((tool) => {
    const type = String((tool as { type?: unknown } | null)?.type ?? '')
    return providerTools.test(type) && !allowed.some((name) => type.startsWith(name))
  })
}

/** What a request leaves out is the providers' default, 1. */
function isRandom({ temperature, n, seed }: Record<string, unknown>, maxTemperature: number): boolean {
  if (maxTemperature === Number.POSITIVE_INFINITY) return false
  if (typeof n === 'number' && n > 1 && typeof seed !== 'number') return true
  return (typeof temperature === 'number' ? temperature : 1) > maxTemperature
}
