import { InvalidInputError } from '@evenkeel/core'
import { input, linkSignals } from '@evenkeel/core/kit'
import type { ThreadBackend } from '../backends/port.js'
import { messageOf } from '../messages/decode.js'
import { newId } from '../messages/ids.js'
import type { StoredMessage } from '../messages/message.js'
import type { MessageRecord } from '../messages/record.js'
import type { Tail } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { ThreadContext } from '../threads/context.js'

export interface SummarizeRequest {
  /** The messages to summarise, in order. */
  readonly messages: readonly StoredMessage[]
  /** The summary of the messages before them; the new summary replaces it and covers both. */
  readonly previous: string | undefined
  /** Aborts when the caller's signal does, or when another process has taken the compaction over. */
  readonly signal: AbortSignal
}

export interface CompactOptions {
  /** Calls your model, or anything else that shortens text. Only the caller of `compact` waits for it. */
  readonly summarize: (
    request: SummarizeRequest,
  ) => Promise<string | { readonly text: string; readonly tokens?: number | undefined }>
  /** Number of newest messages that are not summarised. @default 20 */
  readonly keepMessages?: number | undefined
  /** The same limit in tokens; the narrower one counts. @default no bound */
  readonly keepTokens?: number | undefined
  /** Does nothing if there are fewer tokens than this to summarise. @default 0 */
  readonly minTokens?: number | undefined
  /** Maximum tokens given to one call of `summarize`; the rest waits for the next compaction. @default 100_000 */
  readonly maxInputTokens?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export type Compaction =
  | {
      readonly status: 'compacted'
      /** The summary covers the messages up to this seq. */
      readonly upTo: number
      readonly messages: number
      readonly version: number
    }
  /** There is too little to summarise. */
  | { readonly status: 'nothing' }
  /** Another process is compacting the thread. */
  | { readonly status: 'busy' }
  /** A message was edited, removed or pinned meanwhile. Nothing was changed. */
  | { readonly status: 'stale' }

const leaseMs = 30_000
const pageSize = 500

/**
 * Puts a summary in place of a thread's beginning: plan, summarise, commit. A summary covers a closed prefix, and
 * appends come after it, so neither waits for the other. A message that was not given to `summarize` is never covered.
 * All messages stay stored, and `page()` returns them.
 */
export async function compact(
  context: ThreadContext,
  id: ThreadId,
  options: CompactOptions,
): Promise<Compaction> {
  const { summarize } = options
  input.fn('summarize', summarize)
  checkBounds(options)
  const lease = await holdLease(context, id, options.signal)
  if (lease === undefined) return { status: 'busy' }
  try {
    const plan = await planOf(context, id, options)
    if (plan === undefined) return { status: 'nothing' }
    const { records, tail } = plan
    const previous = tail.summary === undefined ? undefined : String(JSON.parse(tail.summary.body))
    const request = { messages: records.map(messageOf), previous, signal: lease.signal }
    const made = await summarize(request)
    lease.signal.throwIfAborted()
    const text = typeof made === 'string' ? made : made.text
    if (typeof text !== 'string' || text === '') throw new InvalidInputError('summarize', 'a text', made)
    const counted = context.options.countTokens({ role: 'system', content: text })
    const given = typeof made === 'string' ? undefined : made.tokens
    const tokens = Math.ceil(input.number('tokens', given ?? counted))
    const upTo = records.at(-1)?.seq ?? 0
    const change = {
      kind: 'summarise',
      plan: newId(),
      to: upTo,
      before: tail.summary?.number ?? 0,
      edited: tail.edited,
      tokens,
      body: JSON.stringify(text),
    } as const
    const { value } = await context.write(id, (store) => store.change(id, change))
    if (value.status !== 'done') return { status: 'stale' }
    context.counters.compactions++
    return { status: 'compacted', upTo, messages: records.length, version: value.version }
  } finally {
    await lease.release()
  }
}

function checkBounds({ keepMessages, keepTokens, minTokens, maxInputTokens }: CompactOptions): void {
  if (keepMessages !== undefined) input.integer('keepMessages', keepMessages, { min: 0, max: 1_000 })
  if (keepTokens !== undefined) input.number('keepTokens', keepTokens)
  if (minTokens !== undefined) input.number('minTokens', minTokens)
  if (maxInputTokens !== undefined) input.number('maxInputTokens', maxInputTokens, { min: 1 })
}

/** Finds the newest place after which no message depends on an earlier one, at the start of a turn if possible. */
export function closedPrefix(
  prefix: readonly MessageRecord[],
  kept: readonly MessageRecord[],
): readonly MessageRecord[] {
  const after = [...prefix, ...kept]
  let needs = Number.POSITIVE_INFINITY
  for (const { answers } of kept) needs = Math.min(needs, ...answers.map(({ madeAt }) => madeAt ?? Infinity))
  let fallback = 0
  for (let length = prefix.length; length > 0; length--) {
    const last = prefix[length - 1]
    if (last === undefined) break
    const next = after[length]
    if (last.seq < needs) {
      const beginsTurn = next === undefined || (next.turn > last.turn && next.answers.length === 0)
      if (beginsTurn) return prefix.slice(0, length)
      if (fallback === 0) fallback = length
    }
    needs = Math.min(needs, ...last.answers.map(({ madeAt }) => madeAt ?? Infinity))
  }
  return prefix.slice(0, fallback)
}

interface Plan {
  readonly records: readonly MessageRecord[]
  readonly tail: Tail
}

async function planOf(
  context: ThreadContext,
  id: ThreadId,
  options: CompactOptions,
): Promise<Plan | undefined> {
  const { keepMessages = 20, keepTokens = Number.MAX_SAFE_INTEGER, minTokens = 0 } = options
  const { maxInputTokens = 100_000 } = options
  const ask = async <T>(read: (store: ThreadBackend) => Promise<T>) => (await context.read(read)).value
  const tail = await ask((store) => store.read(id, { maxMessages: keepMessages, maxTokens: keepTokens }))
  if (tail.stale || tail.from <= 1) return undefined
  const records: MessageRecord[] = []
  let tokens = 0
  let isCut = false
  let next: number | undefined = tail.summary?.to ?? 0
  while (next !== undefined && !isCut) {
    const after: number = next
    const page = await ask((store) => store.page(id, { after, limit: pageSize }))
    for (const record of page.records) {
      tokens += record.tokens
      isCut = record.seq >= tail.from || (tokens > maxInputTokens && records.length > 0)
      if (isCut) break
      records.push(record)
    }
    next = page.next
  }
  // Messages left out because of their size are kept for now.
  const last = records.at(-1)?.seq ?? 0
  const rest =
    isCut && last + 1 < tail.from
      ? await ask((store) => store.page(id, { after: last, limit: pageSize }))
      : undefined
  const closed = closedPrefix(records, rest?.records ?? tail.records)
  const size = closed.reduce((sum, record) => sum + record.tokens, 0)
  return closed.length === 0 || size < minTokens ? undefined : { records: closed, tail }
}

/** The lease of the thread's compaction, renewed until it is released. */
async function holdLease(context: ThreadContext, id: ThreadId, outer: AbortSignal | undefined) {
  const token = newId()
  const ask = async (action: 'take' | 'renew' | 'release') => {
    const request = { name: 'compaction', action, token, ms: leaseMs } as const
    return (await context.write(id, (store) => store.lease(id, request))).value.status === 'held'
  }
  if (!(await ask('take'))) return undefined
  const lost = new AbortController()
  const timer = setInterval(() => {
    ask('renew').then(
      (isHeld) => isHeld || lost.abort(new Error('another process has taken the compaction over')),
      // While Redis is away, the commit reports it.
      () => {},
    )
  }, leaseMs / 3)
  timer.unref()
  const linked = linkSignals(outer, lost.signal)
  return {
    signal: linked.signal,
    async release() {
      clearInterval(timer)
      linked.unlink()
      await ask('release').catch(() => {})
    },
  }
}
