import type { Policy } from '../call-options.js'
import type { Entry } from '../entry/entry.js'
import { isRecord, type Json } from '../json.js'
import { canonicalHash } from '../key/canonical.js'
import { type CacheableRequest, parseObject } from '../key/request-key.js'
import { type LookupContext, lookUp, timesOf } from '../lookup/context.js'
import type { EntryKey } from '../stores/port.js'
import { noUsage, type Usage } from '../usage/tokens.js'
import type { Fetch, FetchContext } from './cached-fetch.js'
import { recordsOf } from './forms/json.js'
import type { ProviderRequest } from './provider-request.js'
import { marked } from './serve.js'

const kind = 'value'

/** What is kept of each input. */
interface Item {
  readonly embedding: unknown
}

/**
 * An embeddings call of several inputs, each an entry of its own: the provider is asked for those that are not
 * known. Every vector is put at the place of its input, by the index that the provider names. Nothing where
 * the call is of another kind, or can't be taken apart. One round trip for all look-ups of a standalone
 * Redis, one for all writes.
 */
export async function embeddingsByItem(
  engine: FetchContext,
  request: CacheableRequest,
  policy: Policy,
  asked: ProviderRequest,
  upstream: Fetch,
): Promise<Response | undefined> {
  const { input, ...params } = request.params
  if (!asked.url.pathname.endsWith('/embeddings') || !isList(input) || policy.onlyIfCached) return undefined
  const { namespace } = policy
  const placeOf = (item: unknown): EntryKey => {
    const key = canonicalHash('embedding', request.provider, asked.url.pathname, params, item)
    return { namespace, name: engine.nameOf(namespace, request.provider, request.model, key) }
  }
  const entryKeys = input.map(placeOf)
  const known = await Promise.all(
    entryKeys.map(async (entryKey) => {
      const here = policy.refresh ? undefined : engine.tiers.local(entryKey)?.entry
      return lookUpItem(engine, entryKey, policy, here)
    }),
  )
  const items = new Map<string, Json>()
  for (const [index, { item }] of known.entries()) {
    const entryKey = entryKeys[index]
    if (item !== undefined && entryKey !== undefined) items.set(entryKey.name, item)
  }
  // Each that is not known goes once, however often it is asked for.
  const missing = new Map<
    string,
    { readonly entryKey: EntryKey; readonly input: unknown; readonly versions: Entry['versions'] }
  >()
  for (const [index, entryKey] of entryKeys.entries()) {
    const versions = known[index]?.versions ?? []
    if (!items.has(entryKey.name)) missing.set(entryKey.name, { entryKey, input: input[index], versions })
  }
  const saved = known.filter(({ item }) => item !== undefined)
  const savedUsage = { input: saved.reduce((sum, { usage }) => sum + usage.input, 0), output: 0 }
  let billed = 0
  if (missing.size > 0) {
    const wanted = [...missing.values()]
    const response = await call(
      engine,
      asked,
      upstream,
      policy,
      request.model,
      wanted.map((one) => one.input),
    )
    if (!response.ok) return marked(response, response.body, 'miss')
    const body = await response.text()
    const answer = parseObject(body)
    const vectors = answer && vectorsOf(answer, wanted.length)
    // An answer of a shape that is not known is passed on as it is, if it is the whole answer.
    if (answer === undefined || vectors === undefined) {
      return missing.size === input.length ? marked(response, body, 'miss') : undefined
    }
    billed = tokensOf(answer)
    const each = spread(
      billed,
      wanted.map((one) => one.input),
    )
    await Promise.all(
      wanted.map(async ({ entryKey, versions }, index) => {
        const item: Item = { embedding: vectors[index] }
        items.set(entryKey.name, { ...item })
        const entry: Entry = {
          ...timesOf(engine, policy),
          ...{
            kind,
            costMs: 0,
            versions,
            model: request.model,
            usage: { input: each[index] ?? 0, output: 0 },
          },
          ...{ status: 200, contentType: 'application/json', timing: [], body: JSON.stringify(item) },
        }
        if (await engine.tiers.keep(entryKey, entry)) engine.stats.stored(namespace, request.model)
      }),
    )
  }
  const outcome = missing.size === 0 ? 'hit' : 'miss'
  engine.stats.answered(outcome, namespace, request.model, undefined)
  engine.stats.saved(namespace, request.model, savedUsage)
  const total = savedUsage.input + billed
  const answer = {
    object: 'list',
    data: entryKeys.map(({ name }, index) => ({ object: 'embedding', index, ...items.get(name) })),
    model: request.model,
    usage: { prompt_tokens: total, total_tokens: total },
  }
  const headers = new Headers({
    'content-type': 'application/json',
    'x-evenkeel-embeddings': `known=${saved.length}, asked=${missing.size}`,
  })
  return marked({ status: 200, statusText: 'OK', headers }, JSON.stringify(answer), outcome)
}

/** Texts or lists of tokens; one list of tokens is one input. */
function isList(input: unknown): input is readonly unknown[] {
  if (!Array.isArray(input) || input.length === 0) return false
  return input.every((item) => typeof item === 'string') || input.every((item) => Array.isArray(item))
}

async function lookUpItem(
  engine: LookupContext,
  entryKey: EntryKey,
  policy: Policy,
  here: Entry | undefined,
): Promise<{ readonly item: Json | undefined; readonly versions: Entry['versions']; readonly usage: Usage }> {
  const now = engine.options.clock.now()
  if (here !== undefined && here.kind === kind && here.freshUntilMs > now) {
    return { item: parseObject(String(here.body)), versions: here.versions, usage: here.usage }
  }
  const { entry, versions } = await lookUp(engine, entryKey, policy, (known) => known.kind === kind)
  const isFresh = entry !== undefined && !policy.refresh && entry.freshUntilMs > now
  if (!isFresh) return { item: undefined, versions, usage: noUsage }
  return { item: parseObject(String(entry.body)), versions, usage: entry.usage }
}

async function call(
  { stats, metrics }: FetchContext,
  asked: ProviderRequest,
  upstream: Fetch,
  { namespace }: Policy,
  model: string,
  input: readonly unknown[],
): Promise<Response> {
  const began = performance.now()
  try {
    const whole = parseObject(String(asked.body)) ?? {}
    const response = await asked.onward(upstream, asked.signal, JSON.stringify({ ...whole, input }))
    if (!response.ok) stats.failed(namespace, model)
    return response
  } catch (error) {
    stats.failed(namespace, model)
    throw error
  } finally {
    metrics.called(performance.now() - began, model)
  }
}

/** By the index that the provider names, never by its order; nothing where one is missing or named twice. */
function vectorsOf(answer: Json, count: number): readonly unknown[] | undefined {
  const data = recordsOf(answer.data)
  if (data.length !== count) return undefined
  const vectors: unknown[] = Array.from({ length: count })
  const seen = new Set<number>()
  for (const { index, embedding } of data) {
    const at = Number(index)
    if (!Number.isInteger(at) || at < 0 || at >= count || seen.has(at)) return undefined
    const isVector = typeof embedding === 'string' ? embedding !== '' : isNumbers(embedding)
    if (!isVector) return undefined
    seen.add(at)
    vectors[at] = embedding
  }
  return vectors
}

function isNumbers(vector: unknown): boolean {
  return Array.isArray(vector) && vector.length > 0 && vector.every(Number.isFinite) && vector.some(Boolean)
}

function tokensOf({ usage }: Json): number {
  const told = isRecord(usage) ? Number(usage.prompt_tokens ?? usage.total_tokens) : 0
  return Number.isFinite(told) ? told : 0
}

/** The provider tells one sum for all inputs; each has its share of it by length, and the shares are the sum. */
function spread(tokens: number, inputs: readonly unknown[]): number[] {
  const lengths = inputs.map((input) => Math.max(1, (input as string | unknown[]).length))
  const sum = lengths.reduce((total, length) => total + length, 0)
  let [seen, given] = [0, 0]
  return lengths.map((length) => {
    seen += length
    const share = Math.round((tokens * seen) / sum) - given
    given += share
    return share
  })
}
