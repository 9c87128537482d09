import type { Policy } from '../call-options.js'
import type { Entry } from '../entry/entry.js'
import { parseObject } from '../key/request-key.js'
import { timesOf } from '../lookup/context.js'
import type { FlightLease } from '../lookup/flight.js'
import type { LogRecord } from '../stores/port.js'
import { Recording } from '../streams/recording.js'
import { noUsage, type Usage, usageOf } from '../usage/tokens.js'
import type { FetchContext, FetchTarget } from './cached-fetch.js'
import { isProperEnd, StreamJudge } from './completeness.js'
import { isStream } from './forms/forms.js'
import { shownHeaders } from './serve.js'

/** An answer on its way, to any number of callers. */
export interface SharedResponse {
  readonly status: number
  readonly statusText: string
  readonly headers: Headers
  readonly recording: Recording
  /** Nothing more may join: what passed is not fit for others. */
  readonly isSpoilt: () => boolean
  /** Whether a chat stream was asked to tell its usage. */
  readonly usageAsked: boolean
  /** How many joined; what they were spared is known at the end. */
  readonly joined: { count: number }
}

/** Failures that any caller would get, whoever's key it is: they are told to followers. */
const everybodys = new Set([400, 404, 413, 422])

/**
 * Makes a provider's answer live: it is recorded as it passes, told to other instances once somebody follows,
 * and kept when it has ended properly.
 */
export function shareResponse(
  engine: FetchContext,
  wanted: FetchTarget,
  lead: FlightLease,
  versions: Entry['versions'],
  response: Response,
  beganAt: number,
): SharedResponse {
  const { options } = engine
  const { status, statusText, headers } = response
  const contentType = headers.get('content-type') ?? ''
  const judge = isStream(contentType) ? new StreamJudge() : undefined
  const joined = { count: 0 }
  const timing: number[] = []
  let last = performance.now()
  const costMs = last - beganAt
  const recording: Recording = new Recording(response.body ?? emptyStream(), {
    maxBytes: options.maxEntryBytes,
    stallMs: options.stallMs,
    onAbandon: options.onAbandon,
    onChunk: (chunk) => {
      judge?.push(chunk)
      const now = performance.now()
      if (judge !== undefined) timing.push(chunk.byteLength, now - last)
      last = now
    },
    onEnd: ({ chunks, error }) => {
      judge?.end()
      const body = chunks && error === undefined ? Buffer.concat(chunks) : undefined
      const usage = judge?.usage ?? usageIn(body)
      engine.stats.saved(wanted.policy.namespace, wanted.model, usage, joined.count)
      const ttlMs = body && ttlOf(engine, wanted.policy, status, contentType, judge, body)
      const entry: Entry | undefined =
        body === undefined || ttlMs === undefined
          ? undefined
          : {
              ...timesOf(engine, wanted.policy, ttlMs),
              ...{ kind: 'response', costMs: costMs + (performance.now() - beganAt), versions },
              ...{ model: wanted.model, usage, status, contentType, timing, body },
            }
      // What is not kept is right for those who have it already, and for nobody who asks from now on.
      if (entry === undefined) wanted.landed()
      void land(engine, wanted, lead, published, entry, error).finally(wanted.landed)
    },
  })
  let published: Promise<boolean> | undefined
  const isTold = status === 200 || everybodys.has(status)
  const publish = () => {
    if (isTold) published ??= publishTo(lead, { status, statusText, headers }, recording)
    // What is one account's alone is nobody else's answer.
    else void lead.fail(String(status))
  }
  lead.onFollowed = publish
  if (lead.followed) publish()
  recording.attend()
  return {
    ...{ status, statusText, headers, recording, joined },
    isSpoilt: () => judge?.spoilt ?? false,
    usageAsked: wanted.form.usage,
  }
}

/** The end of an answer: it is kept or not, and followers hear of it either way. */
async function land(
  engine: FetchContext,
  wanted: FetchTarget,
  lead: FlightLease,
  published: Promise<boolean> | undefined,
  entry: Entry | undefined,
  error: unknown,
): Promise<void> {
  const isWhole = published !== undefined && (await published)
  if (error !== undefined || (published !== undefined && !isWhole && entry === undefined)) {
    return lead.fail('the answer broke off')
  }
  const outcome = await lead.commit(entry, isWhole)
  if (outcome === 'publish') return lead.fail('the answer can not be shared')
  if (outcome !== 'kept') return
  engine.stats.stored(wanted.policy.namespace, wanted.model)
  if (wanted.replaces) engine.tiers.tellReplaced(wanted.entryKey)
}

/** What waits for the answer to an append goes with the next one; but not more often than this. */
const batchMs = 20

/** Reads the recording as one more reader, from its beginning, and adds what comes to the log. */
async function publishTo(
  lead: FlightLease,
  { status, statusText, headers }: Pick<Response, 'status' | 'statusText' | 'headers'>,
  recording: Recording,
): Promise<boolean> {
  if (!recording.joinable) return false
  const reader = recording.read().getReader()
  const head = Buffer.from(JSON.stringify({ status, statusText, headers: shownHeaders(headers) }))
  let waiting: LogRecord[] = [{ type: 'head', data: head }]
  let isHeld = true
  let sending: Promise<void> = Promise.resolve()
  let isSending = false
  const send = async () => {
    while (waiting.length > 0 && isHeld) {
      const records = joinData(waiting)
      waiting = []
      isHeld = await lead.publish(records)
      if (isHeld) await new Promise<void>((resolve) => setTimeout(resolve, batchMs))
    }
    isSending = false
  }
  const begin = () => {
    if (isSending) return
    isSending = true
    sending = send()
  }
  begin()
  try {
    for (let read = await reader.read(); !read.done && isHeld; read = await reader.read()) {
      waiting.push({ type: 'data', data: Buffer.from(read.value) })
      begin()
    }
    await sending
    if (waiting.length > 0 && isHeld) isHeld = await lead.publish(joinData(waiting))
    return isHeld
  } catch {
    return false
  } finally {
    void reader.cancel().catch(() => {})
  }
}

/** Pieces that wait together are one record. */
function joinData(records: readonly LogRecord[]): LogRecord[] {
  const data = records.filter(({ type }) => type === 'data').map((record) => record.data)
  const others = records.filter(({ type }) => type !== 'data')
  return data.length === 0 ? others : [...others, { type: 'data', data: Buffer.concat(data) }]
}

/** How long an answer is kept; nothing for one that is not. */
function ttlOf(
  { options }: FetchContext,
  { ttlMs }: Policy,
  status: number,
  contentType: string,
  judge: StreamJudge | undefined,
  body: Buffer,
): number | undefined {
  if (status !== 200) return options.negativeTtlMs.get(status)
  if (judge !== undefined) return judge.whole ? ttlMs : undefined
  return isWholeJson(contentType, body) ? ttlMs : undefined
}

function isWholeJson(contentType: string, body: Buffer): boolean {
  if (!contentType.includes('json')) return false
  const answer = parseObject(body.toString())
  return answer !== undefined && !answer.error && isProperEnd(answer)
}

function usageIn(body: Buffer | undefined): Usage {
  return body === undefined ? noUsage : usageOf(parseObject(body.toString()))
}

function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() })
}
