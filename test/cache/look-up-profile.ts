import { existsSync, readFileSync } from 'node:fs'
import { type Profiler, Session } from 'node:inspector/promises'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath } from 'node:url'
import { connect } from '@evenkeel/core'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { startRedis } from '@evenkeel/test-servers'

/**
 * What each part of a look-up through `fetch()` costs: `pnpm cache:profile`. The table contains shares of the busy
 * time, from V8's CPU profile of equal chat calls in sequence. Shares can be compared between machines, and other load
 * changes them little.
 */
const calls = Number(process.argv[2] ?? 20_000)

/** A sample counts for the first part that matches its place: a source file of ours, a package, a native function. */
const parts: readonly (readonly [part: string, place: RegExp])[] = [
  ['the collector', /^\(garbage collector\)/],
  [
    'reading and writing the socket',
    /^(writev|writeUtf8String|writeLatin1String|writeBuffer|onread|readStop)\b/,
  ],
  [
    'the key: parsing the body, its places in the protocol, the hash',
    /llm-response-cache\/src\/(key|json)|^(parse|Hash|update|digest|oneShotDigest)\b|node:internal\/crypto/,
  ],
  [
    'the look-up: what it may join, its policy',
    /llm-response-cache\/src\/(lookup|call-options|streams|options)/,
  ],
  ['entries: in memory, from Redis, their versions', /llm-response-cache\/src\/(tiers|stores|entry)/],
  [
    'the request and the answer: signal, headers, body, `json()`',
    /llm-response-cache\/src\/fetch|node:internal\/deps\/undici|node:internal\/webstreams|encoding/,
  ],
  ['counting', /llm-response-cache\/src\/usage/],
  ['core: checks, deadline, breaker, failover', /packages\/core\/src/],
  ['the client of Redis', /node_modules\/(@redis|redis)\b/],
]
const other = 'the rest: Node’s queues and timers, the caller'
const outside = /^\((idle|program)\)/
let maps: Map<string, SourceMap | undefined> | undefined

const answer = JSON.stringify({
  id: 'c1',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [
    {
      index: 0,
      logprobs: null,
      finish_reason: 'stop',
      message: { role: 'assistant', content: 'word '.repeat(370), refusal: null },
    },
  ],
  usage: { prompt_tokens: 100, completion_tokens: 370, total_tokens: 470 },
})
const request = {
  method: 'POST',
  headers: { 'content-type': 'application/json', authorization: 'Bearer none' },
  body: JSON.stringify({
    model: 'm',
    temperature: 0,
    messages: [{ role: 'user', content: 'word '.repeat(105) }],
  }),
}

const server = await startRedis()
const redis = await connect({ url: server.url })
const kinds = {
  'hit in the process': createResponseCache({ ttl: '1h' }),
  'hit in Redis': createResponseCache({ redis, ttl: '1h', l1Ttl: 0 }),
}
const shares = new Map<string, ReadonlyMap<string, number>>()
for (const [kind, cache] of Object.entries(kinds)) {
  const provider = async () => new Response(answer, { headers: { 'content-type': 'application/json' } })
  const fetch = cache.fetch({ fetch: provider })
  const ask = async () => (await fetch('https://api.example.com/v1/chat/completions', request)).json()
  await ask()
  // Until the answer is stored, every call joins the first one.
  while (cache.stats().stored === 0) await new Promise((resolve) => setImmediate(resolve))
  for (let call = 0; call < calls / 4; call++) await ask()
  shares.set(
    kind,
    await profiled(async () => {
      for (let call = 0; call < calls; call++) await ask()
    }),
  )
  if (cache.stats().hits < calls) throw new Error(`${kind}: only ${cache.stats().hits} hits`)
  await cache.close()
}
await redis.close()
await server.close()

console.log(`| part | ${[...shares.keys()].join(' | ')} |`)
console.log(`| --- |${' ---: |'.repeat(shares.size)}`)
for (const part of [...parts.map(([name]) => name), other]) {
  const row = [...shares.values()].map((share) => `${Math.round(100 * (share.get(part) ?? 0))} %`)
  console.log(`| ${part} | ${row.join(' | ')} |`)
}

async function profiled(work: () => Promise<void>): Promise<ReadonlyMap<string, number>> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 200 })
  await session.post('Profiler.start')
  await work()
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  return sharesOf(profile)
}

function sharesOf({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): ReadonlyMap<string, number> {
  const partsById = new Map(nodes.map(({ id, callFrame }) => [id, partOf(callFrame)]))
  const times = new Map<string, number>()
  let worked = 0
  for (const [index, id] of samples.entries()) {
    const part = partsById.get(id)
    if (part === undefined) continue
    const time = timeDeltas[index] ?? 0
    worked += time
    times.set(part, (times.get(part) ?? 0) + time)
  }
  return new Map([...times].map(([part, time]) => [part, time / worked]))
}

/** `undefined` for samples outside the program: V8's `(idle)` and `(program)`. */
function partOf({
  functionName,
  url,
  lineNumber,
  columnNumber,
}: Profiler.Profile['nodes'][number]['callFrame']) {
  const place = `${functionName} ${sourceOf(url, lineNumber, columnNumber)}`
  if (outside.test(place)) return undefined
  return parts.find(([, expression]) => expression.test(place))?.[0] ?? other
}

/** The source file of a place in a package's `dist`, by its source map. */
function sourceOf(url: string, line: number, column: number): string {
  if (!url.startsWith('file:')) return url
  const file = fileURLToPath(url)
  const { originalSource } = (mapOf(file)?.findEntry(line, column) ?? {}) as { originalSource?: string }
  return originalSource === undefined ? file : new URL(originalSource, url).pathname
}

function mapOf(file: string): SourceMap | undefined {
  maps ??= new Map()
  if (!maps.has(file)) maps.set(file, readMap(file))
  return maps.get(file)
}

function readMap(file: string): SourceMap | undefined {
  const path = `${file}.map`
  if (!file.includes('/dist/') || !existsSync(path)) return undefined
  return new SourceMap(JSON.parse(readFileSync(path, 'utf8')) as SourceMapPayload)
}
