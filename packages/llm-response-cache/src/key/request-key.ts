import { isRecord, type Json } from '../json.js'
import { canonicalHash, canonicalHashWith, UnkeyableError } from './canonical.js'
import { parseRequest } from './parse.js'
import { declarationsOf, placesOf, records } from './places.js'
import { referencesOf } from './references.js'
import {
  countedHeaders,
  credentialParams,
  type Endpoint,
  endpoints,
  hostTools,
  type KeyRules,
  searchingHosts,
  searchingModels,
  type Wire,
} from './rules.js'

/** Why a request is passed on without a look at the cache. */
export type BypassReason =
  | 'endpoint'
  | 'method'
  | 'body'
  /** The answer depends on what the server keeps: a conversation, a stored prompt, an item named by its id. */
  | 'stateful'
  /** A tool that the provider runs itself, or an unknown kind of tool. */
  | 'side-effects'
  /** A field that may make the answer depend on more than the request; see `keys.allowFields`. */
  | 'unknown-field'
  /** A model that looks things up; see `keys.allowModels`. */
  | 'searching-model'
  /** A file or image that is named by its id or URL, and may change; see `keys.immutableFiles`. */
  | 'files'
  | 'random'
  | 'asked-for'
  | 'too-large'

export interface CacheableRequest {
  readonly cacheable: true
  /** SHA-256 of everything that changes the answer. */
  readonly key: string
  /** SHA-256 of what changes the answer beside the body: URL, headers, the salt of the rules. */
  readonly scope: string
  readonly model: string
  /** The host that answers. */
  readonly provider: string
  readonly endpoint: Endpoint
  readonly form: WantedForm
  /** The fields of the body that are part of the key. */
  readonly params: Readonly<Json>
}

/** The form in which the answer is wanted; one entry serves all forms that can be converted. */
export interface WantedForm {
  readonly wire: Wire | undefined
  readonly streamed: boolean
  /** Whether a stream is to end with its usage (`stream_options.include_usage`). */
  readonly usage: boolean
  /** Anything else in the request that chooses a form, such as `alt=sse`. */
  readonly variant: string
}

export interface Bypass {
  readonly cacheable: false
  readonly reason: BypassReason
  /** The field, or the type of the tool, that is the cause. */
  readonly detail?: string | undefined
}

export type RequestKey = CacheableRequest | Bypass

/** Characters of a body; a longer one is not worth hashing, and is passed on. */
const maxBodyLength = 16 << 20

const maxModelLength = 256

interface Located {
  readonly url: URL
  readonly method: string
}

/** Finds the endpoint of a request, or a reason to bypass the cache, before the body is read. */
export function endpointFor({ url, method }: Located, rules: KeyRules): Endpoint | BypassReason {
  const path = url.pathname.replace(/\/$/, '')
  const endpoint = endpoints.find((one) => one.path.test(path))
  if (endpoint === undefined || (endpoint.optIn === 'images' && rules.images !== true)) return 'endpoint'
  return method === 'POST' ? endpoint : 'method'
}

/**
 * Computes the key of a provider call over HTTP from its endpoint, API version, model and everything else that
 * changes the answer. Credentials are left out; the entry's tenant keeps tenants apart. A streamed and a buffered
 * call have the same key if their answers can be converted into each other. A request whose answer may depend on more
 * than the request has no key.
 */
export function requestKey(
  request: Located & {
    /** By their names in lower case. */
    readonly headers: Iterable<[string, string]>
    readonly endpoint: Endpoint
    readonly body: unknown
  },
  rules: KeyRules,
  maxTemperature = Number.POSITIVE_INFINITY,
): RequestKey {
  const { url, endpoint, body } = request
  if (typeof body !== 'string') return bypass('body')
  if (body.length > maxBodyLength) return bypass('too-large')
  const asked = parseRequest(body)
  if (asked === undefined) return bypass('body')
  const refused = refusalOf(asked, request, rules, maxTemperature)
  if (refused !== undefined) return refused
  const model = modelOf(asked, url)
  const params = paramsOf(asked, endpoint, rules)
  const form = formOf(asked, url, endpoint)
  try {
    const where = whereOf(request, rules)
    const places = placesOf(endpoint.answers, params, rules.renameIds ?? true)
    // Without a conversion, each form has an entry of its own.
    const isConvertible = endpoint.wire !== undefined && endpoint.wire !== 'openai-completions'
    const apart = isConvertible ? '' : `${form.streamed} ${form.variant}`
    const key = canonicalHashWith(places, 'fetch', where, params, apart)
    return {
      cacheable: true,
      key,
      model,
      provider: url.host,
      endpoint,
      form,
      params,
      // Computed on demand: only a look-up beyond the exact key needs it.
      get scope() {
        return canonicalHash('scope', where, form.variant)
      },
    }
  } catch (error) {
    if (error instanceof UnkeyableError) return bypass('too-large')
    throw error
  }
}

/** The reason, if any, why an answer may depend on more than the request, or must not be stored. */
function refusalOf(
  asked: Json,
  { url, endpoint }: { readonly url: URL; readonly endpoint: Endpoint },
  rules: KeyRules,
  maxTemperature: number,
): Bypass | undefined {
  if (!endpoint.requires.some((name) => asked[name] !== undefined)) return bypass('endpoint')
  const names = Object.keys(asked)
  const state = names.find((name) => endpoint.stateful.has(name) && isSet(asked[name]))
  if (state !== undefined) return bypass('stateful', state)
  const unknown = names.find((name) => !isKnown(name, asked[name], endpoint, rules))
  if (unknown !== undefined) return bypass('unknown-field', unknown)
  const model = modelOf(asked, url)
  const isSearching = searchingModels.test(model) || searchingHosts.test(url.hostname)
  const others = Array.isArray(asked.models) ? asked.models.map(String) : []
  const isAllowed = rules.allowModels?.includes(model) ?? false
  if ((isSearching && !isAllowed) || others.some((name) => searchingModels.test(name))) {
    return bypass('searching-model')
  }
  if (model.length > maxModelLength) return bypass('too-large', 'model')
  const tool = records(asked.tools).find((one) => !isHostTool(one, rules.allowTools ?? []))
  if (tool !== undefined || (Array.isArray(asked.tools) && !asked.tools.every(isRecord))) {
    return bypass('side-effects', tool === undefined ? 'tools' : String(tool.type ?? Object.keys(tool)[0]))
  }
  const reference = referencesOf(asked, endpoint.answers)
  if (reference.state) return bypass('stateful', 'input')
  if (reference.files && rules.immutableFiles !== true) return bypass('files')
  return isRandom(asked, maxTemperature) ? bypass('random') : undefined
}

function isKnown(name: string, value: unknown, endpoint: Endpoint, rules: KeyRules): boolean {
  // A field that is null or undefined has no effect.
  if (value === null || value === undefined) return true
  if (endpoint.fields.has(name) || endpoint.withoutEffect.includes(name)) return true
  if (endpoint.stateful.has(name)) return true
  return [rules.allowFields, rules.include, rules.exclude].some((names) => names?.includes(name))
}

/** Whether a stateful field is set: not null, false or empty. */
function isSet(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  return value !== undefined && value !== null && value !== false && value !== ''
}

/** What changes the answer beside the body: URL, headers, and the salt of the rules. */
function whereOf(
  { url, headers }: { readonly url: URL; readonly headers: Iterable<[string, string]> },
  rules: KeyRules,
): unknown {
  const counted: [string, string][] = []
  for (const header of headers) {
    const [name] = header
    // With these headers an SDK describes itself; they do not change the answer.
    const isCounted = !name.startsWith('x-stainless-') && countedHeaders.test(name)
    if (isCounted || rules.headers?.some((own) => own.toLowerCase() === name)) counted.push(header)
  }
  const query =
    url.search === ''
      ? []
      : [...url.searchParams].filter(([name]) => !credentialParams.has(name.toLowerCase()) && name !== 'alt')
  return [rules.salt, url.host, url.pathname.replace(/\/$/, ''), query.sort(), counted.sort()]
}

function formOf(asked: Json, url: URL, { wire, answers }: Endpoint): WantedForm {
  const isGemini = answers === 'gemini'
  // Ollama streams unless it is told not to.
  const streamed = isGemini
    ? url.pathname.endsWith(':streamGenerateContent')
    : answers === 'ollama'
      ? asked.stream !== false
      : asked.stream === true
  const options = asked.stream_options
  const usage = streamed && isRecord(options) && options.include_usage === true
  const variant = isGemini ? (url.searchParams.get('alt') ?? '') : ''
  return { wire, streamed, usage, variant }
}

/** The fields of a body that are part of the key. */
export function paramsOf(
  request: Readonly<Json>,
  { withoutEffect, answers }: Pick<Endpoint, 'withoutEffect' | 'answers'>,
  { exclude = [], include = [] }: KeyRules,
): Json {
  const isLeft = (name: string) =>
    ((withoutEffect.includes(name) || exclude.includes(name)) && !include.includes(name)) ||
    (name === 'stream' && (answers === 'ollama' || answers === 'gemini'))
  const params: Json = {}
  for (const name of Object.keys(request)) {
    // Not by assignment, which would take a body's member `__proto__` for the prototype.
    if (!isLeft(name)) define(params, name, request[name])
  }
  // The provider stores an answer unless `store` is false, and only a stored one can be continued by its id.
  if (answers === 'responses') params.store = request.store !== false
  return params
}

function define(holder: Json, name: string, value: unknown): void {
  if (name === '__proto__') {
    Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true })
  } else holder[name] = value
}

function bypass(reason: BypassReason, detail?: string): Bypass {
  return detail === undefined ? { cacheable: false, reason } : { cacheable: false, reason, detail }
}

/** The APIs of Google and Azure name the model in the path. */
function modelOf({ model }: Json, url: URL): string {
  if (typeof model === 'string' && model !== '') return model
  return /\/(?:models|tunedModels|endpoints|deployments)\/([^/:]+)/.exec(url.pathname)?.[1] ?? 'unknown'
}

/** Whether the caller runs the tool, or the rules allow it. */
function isHostTool(tool: Json, allowed: readonly string[]): boolean {
  const { type } = tool
  if (typeof type === 'string') return hostTools.has(type) || allowed.some((name) => type.startsWith(name))
  if (type !== undefined) return false
  // Function tools of Anthropic and Ollama need no type; Gemini's have lists of declarations and nothing else.
  if (typeof tool.name === 'string' && isRecord(tool.input_schema)) return true
  if (isRecord(tool.function)) return true
  const names = Object.keys(tool)
  if (declarationsOf(tool).length > 0) {
    return names.every((name) => name === 'functionDeclarations' || name === 'function_declarations')
  }
  return names.some((name) => allowed.some((own) => name.startsWith(own)))
}

/** A missing temperature or count is the providers' default, 1. */
function isRandom(asked: Json, maxTemperature: number): boolean {
  if (maxTemperature === Number.POSITIVE_INFINITY) return false
  const options = [asked, asked.generationConfig, asked.generation_config, asked.options].filter(isRecord)
  const numberOf = (...names: readonly string[]) =>
    options.flatMap((own) => names.map((name) => own[name])).find((value) => typeof value === 'number')
  const count = numberOf('n', 'candidateCount', 'candidate_count') ?? 1
  if (count > 1 && numberOf('seed') === undefined) return true
  return (numberOf('temperature') ?? 1) > maxTemperature
}
