import type { Policy } from '../call-options.js'
import type { Entry } from '../entry/entry.js'
import { isRecord, type Json } from '../json.js'
import { canonicalHash } from '../key/canonical.js'
import { parseObject } from '../key/parse.js'
import type { CacheableRequest } from '../key/request-key.js'
import { Batch } from '../lookup/batch.js'
import type { Call, Found } from '../lookup/call.js'
import { timesOf } from '../lookup/context.js'
import { Lookup } from '../lookup/lookup.js'
import { isOutageStatus, isProviderOutage } from '../lookup/outage.js'
import type { EntryKey } from '../stores/port.js'
import { type StreamSource, toWebStream } from '../streams/shared-stream.js'
import type { Usage } from '../usage/tokens.js'
import { isVector } from './completeness.js'
import { recordsOf } from './forms/json.js'
import type { Fetch } from './options.js'
import type { ProviderRequest } from './provider-request.js'
import type { ResponseContext } from './response-context.js'
import { marked, type ResponseHead } from './serve.js'
import { readBody } from './shared-response.js'

const kind = 'value'

/** A larger answer is passed on as it comes. */
const maxAnswerBytes = 64 << 20

export interface EmbeddingsRequest {
  readonly request: CacheableRequest
  readonly policy: Policy
  readonly provider: ProviderRequest
  readonly body: string
  readonly upstream: Fetch
  readonly owner: object
}

/** What is stored for each input: its item of the answer, and the model that the provider named. */
interface Item {
  readonly item: Json
  readonly model: unknown
}

interface LiveItem {
  readonly item: Item
  readonly usage: Usage
}

/** A provider's answer that is no list of vectors: a refusal, or a shape that is not known. */
class OtherAnswer extends Error {
  readonly head: ResponseHead
  readonly body: Buffer | StreamSource<Uint8Array>

  constructor(head: ResponseHead, body: Buffer | StreamSource<Uint8Array>) {
    super(`The provider answered ${head.status}`)
    this.head = head
    this.body = body
  }

  get status(): number {
    return this.head.status
  }
}

/**
 * Answers an embeddings call with an entry for each input: the provider is asked only for inputs that are neither
 * stored nor under way. Each vector is put at the place of its input, by the index that the provider names.
 * `undefined` if the call is of another kind, or can't be taken apart.
 */
export async function embeddingsByItem(
  context: ResponseContext,
  asked: EmbeddingsRequest,
): Promise<Response | undefined> {
  const inputs =
    asked.request.endpoint.answers === 'embeddings' ? listOf(asked.request.params.input) : undefined
  if (inputs === undefined) return undefined
  return new ItemizedCall(context, asked, inputs).answer()
}

class ItemizedCall {
  readonly #context: ResponseContext
  readonly #asked: EmbeddingsRequest
  readonly #inputs: readonly unknown[]
  readonly #lookup: Lookup<LiveItem>
  /** The provider's last answer for this request, and the tokens of all its answers. */
  #told:
    | { readonly head: ResponseHead; readonly answer: Json; readonly bytes: Buffer; billed: number }
    | undefined
  /** How many inputs the provider was asked for. */
  #loaded = 0

  constructor(context: ResponseContext, asked: EmbeddingsRequest, inputs: readonly unknown[]) {
    this.#context = context
    this.#asked = asked
    this.#inputs = inputs
    this.#lookup = new Lookup(context)
  }

  async answer(): Promise<Response | undefined> {
    const names = this.#inputs.map((input) => this.#nameOf(input))
    const unique = new Map(names.map((name, index) => [name, this.#inputs[index]]))
    const batch = new Batch<unknown, LiveItem>({
      expected: unique.size,
      maxBatch: Number.MAX_SAFE_INTEGER,
      load: (some, signal) => this.#load(some, signal),
    })
    try {
      const found = await Promise.all(
        [...unique].map(async ([name, input]) => [name, await this.#find(name, input, batch)] as const),
      )
      return this.#composed(names, new Map(found))
    } catch (error) {
      if (error instanceof OtherAnswer) return this.#refused(error)
      throw error
    }
  }

  #nameOf(input: unknown): string {
    const { request, policy } = this.#asked
    const { input: _, ...params } = request.params
    const key = canonicalHash('embedding', request.scope, params, input)
    return this.#context.nameOf(policy.tenant, request.provider, request.model, key)
  }

  #find(name: string, input: unknown, batch: Batch<unknown, LiveItem>): Promise<Found<LiveItem>> {
    const { policy, request, provider, owner } = this.#asked
    const entryKey: EntryKey = { tenant: policy.tenant, name }
    const arrived = batch.arrival()
    const call: Call<LiveItem> = {
      entryKey,
      policy,
      model: request.model,
      isPartOfBatch: true,
      onWaits: arrived,
      signal: provider.signal,
      isRetry: provider.isRetry,
      identity: { owner, credentials: provider.credentials },
      isOutage: (error) =>
        error instanceof OtherAnswer ? isOutageStatus(error.status) : isProviderOutage(error),
      suits: (entry) => entry.kind === kind && itemIn(entry) !== undefined,
      joins: () => true,
      produce: async ({ signal, versions }) => {
        const live = await batch.load(input, signal, arrived)
        const entry: Entry = {
          ...timesOf(this.#context, policy),
          kind,
          costMs: 0,
          versions,
          model: request.model,
          usage: live.usage,
          status: 200,
          timing: [],
          contentType: 'application/json',
          body: JSON.stringify(live.item),
        }
        return { live, ended: Promise.resolve(entry) }
      },
    }
    return this.#lookup.find(call).finally(arrived)
  }

  async #load(inputs: readonly unknown[], signal: AbortSignal): Promise<LiveItem[]> {
    const { request, policy, upstream, provider, body } = this.#asked
    const { stats, metrics, scope } = this.#context
    const began = performance.now()
    // If all inputs are needed, the caller's body is sent unchanged.
    const isWhole = inputs.length === this.#inputs.length
    const sent = isWhole ? body : JSON.stringify({ ...parseObject(body), input: inputs })
    this.#loaded += inputs.length
    try {
      const response = await scope.leave(() => provider.call(upstream, sent, signal))
      const { status, statusText, url, headers } = response
      const head = { status, statusText, url, headers }
      const read = await readBody(response, maxAnswerBytes, () => {})
      if ('source' in read) throw new OtherAnswer(head, read.source)
      const answer = response.ok ? parseObject(read.bytes.toString()) : undefined
      const items = answer && itemsOf(answer, inputs.length)
      if (answer === undefined || items === undefined) throw new OtherAnswer(head, read.bytes)
      stats.knows(request.model)
      const billed = tokensOf(answer)
      this.#told = { head, answer, bytes: read.bytes, billed: (this.#told?.billed ?? 0) + billed }
      const shares = spread(billed, inputs)
      return items.map((item, index) => ({
        item: { item, model: answer.model },
        usage: { input: shares[index] ?? 0, output: 0 },
      }))
    } catch (error) {
      if (!(error instanceof OtherAnswer) || error.status !== 200)
        stats.failed({ tenant: policy.tenant, model: request.model })
      throw error
    } finally {
      metrics.called(performance.now() - began, request.model)
    }
  }

  #composed(names: readonly string[], found: ReadonlyMap<string, Found<LiveItem>>): Response {
    const { request, policy, provider } = this.#asked
    const { stats } = this.#context
    if ([...found.values()].some(({ kind: how }) => how === 'nothing')) return this.#notKept()
    const taken = new Map([...found].map(([name, one]) => [name, liveOf(one)]))
    const others = [...found.values()].filter((one) => !(one.kind === 'live' && one.outcome === 'miss'))
    const isShared = others.some((one) => one.kind !== 'nothing' && one.outcome === 'coalesced')
    const outcome = this.#loaded > 0 ? 'miss' : isShared ? 'coalesced' : 'hit'
    const saved = others.reduce((sum, one) => sum + (liveOf(one)?.usage.input ?? 0), 0)
    const of = { tenant: policy.tenant, model: request.model }
    stats.answered(outcome, of, { input: saved, output: 0 })
    const told = this.#told
    // The provider answered the whole request: its answer is passed on unchanged.
    if (told !== undefined && this.#loaded === names.length) {
      return marked(told.head, told.bytes, { outcome: 'miss' })
    }
    const total = saved + (told?.billed ?? 0)
    const [first] = taken.values()
    const answer = {
      object: 'list',
      model: first?.item.model ?? request.model,
      ...told?.answer,
      data: names.map((name, index) => ({ object: 'embedding', ...taken.get(name)?.item.item, index })),
      usage: {
        ...(isRecord(told?.answer.usage) ? told.answer.usage : {}),
        prompt_tokens: total,
        total_tokens: total,
      },
    }
    const headers = new Headers(told?.head.headers)
    headers.set('content-type', 'application/json')
    headers.set('x-evenkeel-embeddings', `known=${others.length}, asked=${this.#loaded}`)
    const head = { status: 200, statusText: 'OK', url: told?.head.url ?? provider.url.href, headers }
    return marked(head, Buffer.from(JSON.stringify(answer)), { outcome })
  }

  #notKept(): Response {
    const { request, policy, provider } = this.#asked
    this.#context.stats.answered('miss', { tenant: policy.tenant, model: request.model })
    const body = JSON.stringify({ error: { message: 'Not in the cache, and only-if-cached was asked for' } })
    const headers = new Headers({ 'content-type': 'application/json' })
    return marked(
      { status: 504, statusText: 'Gateway Timeout', url: provider.url.href, headers },
      Buffer.from(body),
      { outcome: 'miss' },
    )
  }

  /** Passes the answer on, unless it is a 200 for a part of the request: then the whole request is sent. */
  #refused({ head, body }: OtherAnswer): Response | undefined {
    const isOfAll = this.#loaded === this.#inputs.length || this.#loaded === 0
    if (head.status === 200 && !isOfAll) return undefined
    const { policy, request } = this.#asked
    this.#context.stats.answered('miss', { tenant: policy.tenant, model: request.model })
    return marked(head, Buffer.isBuffer(body) ? body : toWebStream(body), { outcome: 'miss' })
  }
}

function liveOf(found: Found<LiveItem>): LiveItem | undefined {
  if (found.kind === 'live') return found.live
  if (found.kind === 'nothing') return undefined
  const item = itemIn(found.entry)
  return item && { item, usage: found.entry.usage }
}

function itemIn({ body, kind: own }: Entry): Item | undefined {
  const read = own === kind ? parseObject(String(body)) : undefined
  return read && isRecord(read.item) ? { item: read.item, model: read.model } : undefined
}

/** The inputs: texts or lists of tokens. A single text or a single list of tokens is one input. */
function listOf(input: unknown): readonly unknown[] | undefined {
  if (typeof input === 'string') return [input]
  if (!Array.isArray(input) || input.length === 0) return undefined
  if (input.every((item) => typeof item === 'string') || input.every((item) => Array.isArray(item)))
    return input
  return input.every((item) => typeof item === 'number') ? [input] : undefined
}

/**
 * The items by the index that the provider names, or by their order if it names none. `undefined` if one is missing,
 * named twice, or no vector.
 */
function itemsOf(answer: Json, count: number): Json[] | undefined {
  const data = recordsOf(answer.data)
  if (data.length !== count || !Array.isArray(answer.data) || answer.data.length !== count) return undefined
  const isUnnumbered = data.every(({ index }) => index === undefined)
  const items = new Map<number, Json>()
  for (const [order, { index, ...item }] of data.entries()) {
    const at = isUnnumbered ? order : Number(index)
    if (!Number.isInteger(at) || at < 0 || at >= count || items.has(at) || !isVector(item.embedding))
      return undefined
    items.set(at, item)
  }
  return data.map((_, at) => items.get(at) ?? {})
}

function tokensOf({ usage }: Json): number {
  const told = isRecord(usage) ? Number(usage.prompt_tokens ?? usage.total_tokens) : 0
  return Number.isFinite(told) ? told : 0
}

/** Divides the provider's sum for all inputs by their lengths; the shares add up to the sum. */
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
