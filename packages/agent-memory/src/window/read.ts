import { InvalidInputError } from '@evenkeel/core'
import { messageOf } from '../messages/decode.js'
import type { MessageRecord, Summary } from '../messages/record.js'
import { asks } from '../replica/read.js'
import type { Tail } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { ThreadContext } from '../threads/context.js'
import type { ThreadSummary, Window, WindowOptions } from '../threads/thread.js'
import { anchor, type Budget, type Choice, chooseWindow, fromTurn } from './select.js'

/** Maximum number of messages of one read, whatever the options say. */
const maxWindow = 1_000

/** How often, at most, a window is read again to get messages before those that are left out. */
const maxReads = 6

/** Reads a window, and chooses messages that make a valid prompt within the budget. */
export async function readWindow(
  context: ThreadContext,
  id: ThreadId,
  options: WindowOptions,
): Promise<Window> {
  const { maxTurns, maxTokens = Number.MAX_SAFE_INTEGER } = options
  const { maxMessages = options.maxTokens === undefined ? 100 : maxWindow } = options
  if (!Number.isSafeInteger(maxMessages) || maxMessages < 1 || maxMessages > maxWindow) {
    throw new InvalidInputError('maxMessages', `a whole number from 1 to ${maxWindow}`, maxMessages)
  }
  if (!(maxTokens >= 1)) throw new InvalidInputError('maxTokens', 'a number from 1', maxTokens)
  if (maxTurns !== undefined && !(Number.isSafeInteger(maxTurns) && maxTurns >= 1)) {
    throw new InvalidInputError('maxTurns', 'a whole number from 1', maxTurns)
  }
  const budget = { maxMessages, maxTokens }
  let asked: Budget = budget
  for (let reads = 1; ; reads++) {
    const request = { ...asked, maxTurns }
    const { value, source } = await context.read((store) => store.read(id, request))
    const { count, version, generation, stale, complete } = value
    const summary = readSummary(value.summary, maxTokens)
    const chosen = chosenOf(value, summary, options, budget)
    const { skipped } = chosen
    // Messages that are left out take no room: earlier ones than those that were read may fit.
    const isShort =
      !chosen.isFull && skipped.maxMessages + value.cut > 0 && value.from > (value.summary?.to ?? 0) + 1
    if (isShort && complete && reads < maxReads && maxTurns === undefined) {
      asked = {
        maxMessages: maxMessages + 2 * skipped.maxMessages,
        maxTokens: Math.min(Number.MAX_SAFE_INTEGER, maxTokens + 2 * skipped.maxTokens + value.cut),
      }
      continue
    }
    if (stale) context.counters.reads.stale++
    const { messages, tokens, from } = chosen
    const overTokens = Math.max(0, tokens - maxTokens)
    return {
      messages,
      summary,
      tokens,
      overTokens,
      count,
      from,
      version,
      generation,
      source,
      stale,
      complete,
    }
  }
}

interface Chosen extends Pick<Window, 'messages' | 'tokens' | 'from'>, Pick<Choice, 'skipped' | 'isFull'> {
  readonly key: string
  readonly records: readonly MessageRecord[]
}

/** The choice for records that were read before, so that it is not computed again for an unchanged window. */
const chosenBefore = new WeakMap<readonly MessageRecord[], Chosen>()

function chosenOf(
  { records: all, pinned, asked }: Tail,
  summary: ThreadSummary | undefined,
  { anchored = false, startAt }: WindowOptions,
  { maxMessages, maxTokens }: Budget,
): Chosen {
  const own = { maxMessages, maxTokens: maxTokens - (summary?.tokens ?? 0) }
  const key = `${own.maxMessages} ${own.maxTokens} ${anchored} ${startAt}`
  const before = chosenBefore.get(all)
  if (before?.key === key) {
    // Bytes and dates can't be frozen, so each reader gets its own messages.
    const isShared = before.messages.every((message) => Object.isFrozen(message))
    return isShared ? before : { ...before, messages: Object.freeze(before.records.map(messageOf)) }
  }
  const held = anchored ? anchor({ records: all, pinned }, own) : all
  const records = startAt === 'turn' ? fromTurn(held, pinned) : held
  const chosen = chooseWindow({ records, pinned, asked: asked ?? all.findLast(asks) }, own)
  const isPinned = new Set(pinned.map(({ seq }) => seq))
  const made = {
    key,
    records: chosen.records,
    skipped: chosen.skipped,
    isFull: chosen.isFull,
    messages: Object.freeze(chosen.records.map(messageOf)),
    tokens: chosen.tokens + (summary?.tokens ?? 0),
    from: chosen.records.find(({ seq }) => !isPinned.has(seq))?.seq ?? 0,
  }
  chosenBefore.set(all, made)
  return made
}

/** A summary that would fill the whole budget is left out. */
function readSummary(summary: Summary | undefined, maxTokens: number): ThreadSummary | undefined {
  if (summary === undefined || summary.tokens >= maxTokens) return undefined
  const { to, tokens, at, body } = summary
  return { text: String(JSON.parse(body)), upTo: to, tokens, at }
}
