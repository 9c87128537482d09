import { InvalidInputError } from '@evenkeel/core'
import { isRecord, type Json } from '../json.js'
import { parseObject } from './parse.js'
import { type BypassReason, endpointFor, type RequestKey, requestKey } from './request-key.js'
import { endpoints, type KeyRules } from './rules.js'

export interface Difference {
  /** JSON path of the difference: `$.messages[2].content`. */
  readonly path: string
  /** How they differ, without the values, since those are prompts. */
  readonly how: string
}

export interface Explanation {
  /** Whether both requests have the same key. */
  readonly equal: boolean
  readonly differences: readonly Difference[]
  /** JSON paths that differ without an effect on the key. */
  readonly ignored: readonly string[]
  /** Which of the requests would bypass the cache: the reason, and the part of the request that causes it. */
  readonly bypassed: readonly {
    readonly which: 'a' | 'b'
    readonly reason: BypassReason
    readonly what?: string
  }[]
}

type Body = string | Readonly<Json>

export interface ExplainOptions {
  readonly rules: KeyRules
  readonly maxTemperature?: number | undefined
  readonly url?: string | undefined
}

/** Conversations that went different ways differ everywhere; this many differences are enough to see why. */
const maxDifferences = 50

/** Finds the JSON paths in which two requests differ, and the reasons why they bypass the cache. */
export function explain(a: Body, b: Body, options: ExplainOptions): Explanation {
  const [one, other] = [bodyOf('a', a), bodyOf('b', b)]
  const keys = { a: keyOf(a, one, options), b: keyOf(b, other, options) }
  const bypassed = (['a', 'b'] as const).flatMap((which) => {
    const key = keys[which]
    if (key.cacheable) return []
    return [{ which, reason: key.reason, ...(key.detail === undefined ? {} : { what: key.detail }) }]
  })
  const equal = keys.a.cacheable && keys.b.cacheable && keys.a.key === keys.b.key
  const { rules } = options
  const ignoredNames = new Set(
    [...endpoints.flatMap(({ withoutEffect }) => withoutEffect), ...(rules.exclude ?? [])].filter(
      (name) => !rules.include?.includes(name),
    ),
  )
  const ignored: string[] = []
  const differences: Difference[] = []
  for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
    const found = differencesOf(`$.${name}`, one[name], other[name])
    // If both requests have one key, their differences have no effect: generated ids, prompt-cache marks.
    if (equal) ignored.push(...found.map(({ path }) => (ignoredNames.has(name) ? `$.${name}` : path)))
    else if (!ignoredNames.has(name)) differences.push(...found)
    else if (found.length > 0) ignored.push(`$.${name}`)
  }
  return {
    equal,
    differences: differences.slice(0, maxDifferences),
    ignored: [...new Set(ignored)],
    bypassed,
  }
}

function keyOf(given: Body, body: Json, { rules, maxTemperature, url: told }: ExplainOptions): RequestKey {
  const url = new URL(told ?? `https://api.example.com${pathOf(body)}`)
  const endpoint = endpointFor({ url, method: 'POST' }, rules)
  if (typeof endpoint === 'string') return { cacheable: false, reason: endpoint }
  const text = typeof given === 'string' ? given : JSON.stringify(given)
  return requestKey({ url, method: 'POST', headers: new Map(), endpoint, body: text }, rules, maxTemperature)
}

/** Path to which a body of this format is sent. */
function pathOf(body: Json): string {
  if (body.contents !== undefined) return '/v1beta/models/unknown:generateContent'
  if (body.documents !== undefined && body.query !== undefined) return '/v1/rerank'
  if (body.messages !== undefined) {
    const isAnthropic = body.system !== undefined || JSON.stringify(body.messages).includes('"cache_control"')
    return isAnthropic ? '/v1/messages' : '/v1/chat/completions'
  }
  if (typeof body.prompt === 'string') return '/v1/completions'
  const isEmbedding = body.dimensions !== undefined || body.encoding_format !== undefined
  return isEmbedding ? '/v1/embeddings' : '/v1/responses'
}

function bodyOf(field: string, body: Body): Json {
  const read = typeof body === 'string' ? parseObject(body) : body
  if (!isRecord(read)) throw new InvalidInputError(field, "a request's body, as an object or as JSON", body)
  return read
}
function differencesOf(path: string, one: unknown, other: unknown): Difference[] {
  if (Object.is(one, other) || (one === 0 && other === 0)) return []
  if (one === undefined || other === undefined) {
    return [{ path, how: one === undefined ? 'only in the second' : 'only in the first' }]
  }
  if (kindOf(one) !== kindOf(other)) return [{ path, how: `${kindOf(one)} and ${kindOf(other)}` }]
  if (typeof one === 'string' && typeof other === 'string') return [{ path, how: textsDiffer(one, other) }]
  if (typeof one !== 'object' || one === null || other === null) return [{ path, how: 'another value' }]
  if (Array.isArray(one) && Array.isArray(other)) {
    return Array.from({ length: Math.max(one.length, other.length) }, (_, index) =>
      differencesOf(`${path}[${index}]`, one[index], other[index]),
    ).flat()
  }
  const members = [one as Record<string, unknown>, other as Record<string, unknown>] as const
  return [...new Set(members.flatMap(Object.keys))].flatMap((name) =>
    differencesOf(`${path}.${name}`, members[0][name], members[1][name]),
  )
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** The most frequent causes of differences between prompts that were meant to be equal. */
const suspects: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2})?/, 'a date or a time'],
  [/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/i, 'a UUID'],
  [/\b\d{10,13}\b/, 'a timestamp'],
]

function textsDiffer(one: string, other: string): string {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  const near = (text: string) => text.slice(Math.max(0, at - 40), at + 40)
  const suspect = suspects.find(([shape]) => {
    const [left, right] = [shape.exec(near(one))?.[0], shape.exec(near(other))?.[0]]
    return left !== undefined && right !== undefined && left !== right
  })
  const entryKey = `texts of ${one.length} and ${other.length} characters differ from character ${at}`
  return suspect === undefined ? entryKey : `${entryKey}: it looks like ${suspect[1]}`
}
