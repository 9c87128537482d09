import { InvalidInputError } from '@evenkeel/core'
import { type CallOptions, policyOf } from './call-options.js'
import type { Entry } from './entry/entry.js'
import { canonicalHash } from './key/canonical.js'
import { lookHere, lookUp, timesOf } from './lookup/context.js'
import type { CacheContext } from './lookup/create-context.js'
import type { EntryKey } from './stores/port.js'
import { noUsage } from './usage/tokens.js'

export interface EmbeddingsOptions extends Omit<CallOptions, 'onlyIfCached'> {
  /** Names the model, with everything else that changes its vectors: dimensions, input type, version. */
  readonly model: string
  /** Asks the provider; gives a vector for each text, in their order. */
  readonly embed: (texts: readonly string[]) => Promise<readonly ArrayLike<number>[]>
  /** More are asked for in several calls, one after the other. @default 2_048 */
  readonly maxBatch?: number | undefined
}

const contentType = 'application/x-float32'

/** Vectors of texts, each an entry of its own: of a batch the provider is asked for what is not known. */
export class Embeddings {
  readonly #engine: CacheContext
  /** Texts that are being asked for, by their place. */
  readonly #flights = new Map<string, Promise<Float32Array>>()

  constructor(engine: CacheContext) {
    this.#engine = engine
  }

  async get(texts: readonly string[], options: EmbeddingsOptions): Promise<Float32Array[]> {
    const { model, embed, maxBatch = 2_048 } = options
    check(texts, options)
    const policy = policyOf(this.#engine.options.policy, { ...this.#engine.scope.current, ...options })
    const { namespace } = policy
    const { stats, tiers } = this.#engine
    const entryKeys = texts.map((text) => ({
      namespace,
      name: `embedding:${model}:${this.#engine.shown(namespace, canonicalHash(model, text))}`,
    }))
    const vectors = new Map<string, Float32Array | Promise<Float32Array>>()
    const missing = new Map<
      string,
      { readonly text: string; readonly entryKey: EntryKey; readonly versions: Entry['versions'] }
    >()
    await Promise.all(
      entryKeys.map(async (entryKey, index) => {
        const here = policy.refresh || !policy.useCache ? undefined : lookHere(this.#engine, entryKey, policy)
        const under = policy.refresh || !policy.useCache ? undefined : this.#flights.get(entryKey.name)
        if (here !== undefined || under !== undefined) {
          stats.answered(here === undefined ? 'coalesced' : 'hit', namespace, model, here?.held.entry.usage)
          const known = here === undefined ? under : vectorOf(here.held.entry)
          if (known !== undefined) vectors.set(entryKey.name, known)
          return
        }
        const { entry, versions } = policy.useCache
          ? await lookUp(this.#engine, entryKey, policy, ({ kind }) => kind === 'bytes')
          : { entry: undefined, versions: [] }
        if (entry !== undefined && !policy.refresh) {
          stats.answered('hit', namespace, model, entry.usage)
          vectors.set(entryKey.name, vectorOf(entry))
        } else if (!vectors.has(entryKey.name))
          missing.set(entryKey.name, { text: texts[index] ?? '', entryKey, versions })
      }),
    )
    const wanted = [...missing.values()]
    for (let at = 0; at < wanted.length; at += maxBatch) {
      const batch = wanted.slice(at, at + maxBatch)
      const asked = this.#ask(
        batch.map(({ text }) => text),
        embed,
        namespace,
        model,
      )
      for (const [index, { entryKey, versions }] of batch.entries()) {
        const flight = asked.then((all) => all[index] ?? new Float32Array())
        if (policy.useCache) this.#flights.set(entryKey.name, flight)
        vectors.set(entryKey.name, flight)
        flight
          .then(async (vector) => {
            stats.answered(policy.useCache ? 'miss' : 'bypass', namespace, model, undefined)
            if (!policy.useCache) return
            const body = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
            const entry: Entry = {
              ...timesOf(this.#engine, policy),
              ...{
                kind: 'bytes',
                costMs: 0,
                versions,
                model,
                usage: noUsage,
                status: 200,
                contentType,
                timing: [],
                body,
              },
            }
            if (await tiers.keep(entryKey, entry)) stats.stored(namespace, model)
          })
          .catch(() => {})
          .finally(() => {
            if (this.#flights.get(entryKey.name) === flight) this.#flights.delete(entryKey.name)
          })
      }
      await asked
    }
    // Everybody gets vectors of his own: they are written into.
    return Promise.all(entryKeys.map(async ({ name }) => Float32Array.from(await (vectors.get(name) ?? []))))
  }

  async #ask(
    texts: readonly string[],
    embed: EmbeddingsOptions['embed'],
    namespace: string,
    model: string,
  ): Promise<Float32Array[]> {
    const { stats, metrics } = this.#engine
    const began = performance.now()
    try {
      const vectors = [...(await embed(texts))].map((vector) => Float32Array.from(vector))
      if (vectors.length !== texts.length || vectors.some((vector) => !isUsable(vector))) {
        throw new TypeError(`embed gave ${vectors.length} usable vectors for ${texts.length} texts`)
      }
      return vectors
    } catch (error) {
      stats.failed(namespace, model)
      throw error
    } finally {
      metrics.called(performance.now() - began, model)
    }
  }
}

function check(texts: unknown, { model, embed }: EmbeddingsOptions): void {
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string')) {
    throw new InvalidInputError('texts', 'a list of texts', texts)
  }
  if (typeof model !== 'string' || model === '' || model.length > 256) {
    throw new InvalidInputError('model', 'text of 1 to 256 characters', model)
  }
  if (typeof embed !== 'function') throw new InvalidInputError('embed', 'a function', embed)
}

/** An empty or a null vector, or one with a hole, is a failure that looks like an answer. */
function isUsable(vector: Float32Array): boolean {
  return vector.length > 0 && vector.every(Number.isFinite) && vector.some((value) => value !== 0)
}

function vectorOf({ body }: Entry): Float32Array {
  const bytes = Buffer.from(body)
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
}
