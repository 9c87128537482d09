import { InvalidInputError } from '@evenkeel/core'
import { messageOf } from '../messages/decode.js'
import type { MessageRecord, Summary } from '../messages/record.js'
import type { Tail } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { ThreadContext } from '../threads/context.js'
import type { ThreadSummary, Window, WindowOptions } from '../threads/thread.js'
import { anchor, type Budget, chooseWindow, fromTurn } from './select.js'

/** One read returns no more, whatever is asked. */
const maxWindow = 1_000

/** Reads a window, and chooses what of it makes a valid prompt within the budget. */
export async function readWindow(
  context: ThreadContext,
  id: ThreadId,
  options: WindowOptions,
): Promise<Window> {
  const { maxMessages = 100, maxTokens = Number.MAX_SAFE_INTEGER, maxTurns } = options
  if (!Number.isSafeInteger(maxMessages) || maxMessages < 1 || maxMessages > maxWindow) {
    throw new InvalidInputError('maxMessages', `a whole number from 1 to ${maxWindow}`, maxMessages)
  }
  if (!(maxTokens >= 1)) throw new InvalidInputError('maxTokens', 'a number from 1', maxTokens)
  if (maxTurns !== undefined && !(Number.isSafeInteger(maxTurns) && maxTurns >= 1)) {
    throw new InvalidInputError('maxTurns', 'a whole number from 1', maxTurns)
  }
  const budget = { maxMessages, maxTokens }
  const { value, source } = await context.read((store) => store.read(id, { ...budget, maxTurns }))
  const { count, version, generation, stale, complete } = value
  if (stale) context.counters.reads.stale++
  const summary = readSummary(value.summary, maxTokens)
  const { messages, tokens, from } = chosenOf(value, summary, options, budget)
  return { messages, summary, tokens, count, from, version, generation, source, stale, complete }
}

interface Chosen extends Pick<Window, 'messages' | 'tokens' | 'from'> {
  readonly key: string
}

/** What was chosen of records that were read before: a window that is read again is not worked out again. */
const chosenBefore = new WeakMap<readonly MessageRecord[], Chosen>()

function chosenOf(
  { records: all, pinned }: Tail,
  summary: ThreadSummary | undefined,
  { anchored = false, startAt }: WindowOptions,
  { maxMessages, maxTokens }: Budget,
): Chosen {
  const own = { maxMessages, maxTokens: maxTokens - (summary?.tokens ?? 0) }
  const key = `${own.maxMessages} ${own.maxTokens} ${anchored} ${startAt}`
  const before = chosenBefore.get(all)
  if (before?.key === key) return before
  const held = anchored ? anchor({ records: all, pinned }, own) : all
  const records = startAt === 'turn' ? fromTurn(held, pinned) : held
  const chosen = chooseWindow({ records, pinned }, own)
  const isPinned = new Set(pinned.map(({ seq }) => seq))
  const made = {
    key,
    messages: Object.freeze(chosen.records.map(messageOf)),
    tokens: chosen.tokens + (summary?.tokens ?? 0),
    from: chosen.records.find(({ seq }) => !isPinned.has(seq))?.seq ?? 0,
  }
  chosenBefore.set(all, made)
  return made
}

/** A summary that leaves no room for anything is left out itself. */
function readSummary(summary: Summary | undefined, maxTokens: number): ThreadSummary | undefined {
  if (summary === undefined || summary.tokens >= maxTokens) return undefined
  const { to, tokens, at, body } = summary
  return { text: String(JSON.parse(body)), upTo: to, tokens, at }
}
