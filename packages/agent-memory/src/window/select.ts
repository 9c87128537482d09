import type { MessageRecord } from '../messages/record.js'
import { asks } from '../replica/read.js'

/** A message, or tool calls with their results: a window contains all of it or nothing. */
interface Unit {
  readonly records: MessageRecord[]
  tokens: number
}

export interface Budget {
  readonly maxMessages: number
  readonly maxTokens: number
}

export interface Choice {
  readonly records: readonly MessageRecord[]
  readonly tokens: number
  /** Size of the messages that were left out as no part of a valid prompt: as much may fit before them. */
  readonly skipped: Budget
  /** A unit did not fit, so that no earlier one is wanted. */
  readonly isFull: boolean
}

/** What a thread's store read, newest last. */
export interface Material {
  readonly records: readonly MessageRecord[]
  readonly pinned: readonly MessageRecord[]
  /** The newest message of a user, if it is not among the records. */
  readonly asked?: MessageRecord | undefined
}

/**
 * Chooses the pinned messages, the newest message of a user, and the newest units of a thread that fit into the rest of
 * a budget. Results come right after their calls, late ones too. Left out, and not counted, are results without their
 * call, calls whose results can't be told apart, and calls that were not fully answered. If the thread ends with such
 * calls and they fit, the window ends with them too, since their results are still to come.
 *
 * Records come in order and are the thread's newest; a unit whose call is before them is not complete.
 */
export function chooseWindow({ records, pinned, asked }: Material, budget: Budget): Choice {
  const kept = pinned.filter(isPlain)
  const question = records.findLast(asks) ?? asked
  const isHeld = question === undefined || kept.some(({ seq }) => seq === question.seq)
  const held = isHeld || kept.length >= budget.maxMessages ? kept : [...kept, question]
  const chosen: Unit[] = held
    .slice(kept.length)
    .map((record) => ({ records: [record], tokens: record.tokens }))
  const skipped = { maxMessages: 0, maxTokens: 0 }
  let waiting: Unit | undefined
  let [count, tokens, isFull] = [held.length, tokensOf(held), false]
  const newest = records.at(-1)?.seq
  for (const unit of unitsNewestFirst(without(records, held))) {
    const state = stateOf(unit)
    const fits = count + unit.records.length <= budget.maxMessages && tokens + unit.tokens <= budget.maxTokens
    const isLast = unit.records.at(-1)?.seq === newest
    if (state === 'stray' || (state === 'waiting' && !(isLast && fits))) {
      skipped.maxMessages += unit.records.length
      skipped.maxTokens += unit.tokens
      continue
    }
    if (!fits) {
      isFull = true
      break
    }
    if (state === 'waiting') waiting = unit
    else chosen.push(unit)
    count += unit.records.length
    tokens += unit.tokens
  }
  chosen.sort((one, other) => firstOf(one) - firstOf(other))
  const units = waiting === undefined ? chosen : [...chosen, waiting]
  return { records: [...kept, ...units.flatMap((unit) => unit.records)], tokens, skipped, isFull }
}

function firstOf({ records }: Unit): number {
  return records[0]?.seq ?? 0
}

/** Share of a full anchored window that stays when it moves on. */
const lowWater = 0.6

/**
 * The records that an anchored window may contain. A window that moves with every message changes the prompt's
 * beginning every time, so that a provider's prompt cache is useless. An anchored window begins at fixed places:
 * multiples of a step, counted in tokens (or messages) from the thread's beginning. It grows from such a place until
 * its budget is full, and then moves on to the next. Every process computes the same place, and none is stored.
 */
export function anchor(
  { records, pinned }: Material,
  { maxMessages, maxTokens }: Budget,
): readonly MessageRecord[] {
  const newest = records.at(-1)
  if (newest === undefined) return records
  const kept = pinned.filter(isPlain)
  const firstToken = placeOf(newest.tokensBefore + newest.tokens, maxTokens - tokensOf(kept))
  const firstSeq = placeOf(newest.seq, maxMessages - kept.length)
  const held = records.filter(({ seq, tokensBefore }) => seq > firstSeq && tokensBefore >= firstToken)
  if (firstToken === 0 && firstSeq === 0) return held
  const begins = held.findIndex((record, index) => beginsTurn(record, held[index - 1]))
  return held.slice(Math.max(0, begins))
}

/** The part of a window from the first turn that begins in it; the whole window if none does. */
export function fromTurn(
  records: readonly MessageRecord[],
  pinned: readonly MessageRecord[],
): readonly MessageRecord[] {
  const kept = new Set(pinned.map(({ seq }) => seq))
  const own = records.filter(({ seq }) => !kept.has(seq))
  const begins = own.findIndex((record, index) => beginsTurn(record, own[index - 1]))
  return own.slice(Math.max(0, begins))
}

/** Where a window of a size begins in a thread that ends at `end`, both in the same unit. */
function placeOf(end: number, size: number): number {
  if (!Number.isFinite(size) || end <= size) return 0
  const step = Math.max(1, Math.floor(size * (1 - lowWater)))
  return Math.ceil((end - size) / step) * step
}

function beginsTurn(record: MessageRecord, before: MessageRecord | undefined): boolean {
  return record.role === 'user' && record.answers.length === 0 && record.turn !== before?.turn
}

function isPlain({ opens, answers }: MessageRecord): boolean {
  return opens.length + answers.length === 0
}

function without(
  records: readonly MessageRecord[],
  others: readonly MessageRecord[],
): readonly MessageRecord[] {
  const seqs = new Set(others.map(({ seq }) => seq))
  return records.filter(({ seq }) => !seqs.has(seq))
}

function tokensOf(records: readonly MessageRecord[]): number {
  return records.reduce((sum, { tokens }) => sum + tokens, 0)
}

/**
 * Walks back and yields a unit when its oldest message is reached. A result is joined to the seq of its call, and one
 * that answers several calls joins them to one unit: sets of seqs, each named by its oldest one (union-find, Galler
 * and Fischer 1964).
 */
function* unitsNewestFirst(records: readonly MessageRecord[]): Generator<Unit> {
  const older = new Map<number, number>()
  const units = new Map<number, Unit>()
  const oldestOf = (seq: number): number => {
    let oldest = seq
    for (let next = older.get(oldest); next !== undefined; next = older.get(oldest)) oldest = next
    return oldest
  }
  const unitAt = (seq: number): Unit => {
    const unit = units.get(seq) ?? { records: [], tokens: 0 }
    units.set(seq, unit)
    return unit
  }
  const join = (one: number, other: number) => {
    const younger = Math.max(oldestOf(one), oldestOf(other))
    const oldest = Math.min(oldestOf(one), oldestOf(other))
    if (younger === oldest) return
    older.set(younger, oldest)
    const moved = units.get(younger)
    units.delete(younger)
    if (moved === undefined) return
    const unit = unitAt(oldest)
    unit.records.push(...moved.records)
    unit.tokens += moved.tokens
  }

  // A model's reasoning belongs to the message after it: a provider accepts neither without the other.
  for (const [index, record] of records.entries()) {
    const before = records[index - 1]
    if (before !== undefined && isReasoned(records, index)) join(before.seq, record.seq)
  }
  for (const record of records.toReversed()) {
    const unit = unitAt(oldestOf(record.seq))
    unit.records.push(record)
    unit.tokens += record.tokens
    for (const { madeAt } of record.answers) if (madeAt !== undefined) join(record.seq, madeAt)
    if (oldestOf(record.seq) !== record.seq) continue
    const complete = unitAt(record.seq)
    units.delete(record.seq)
    complete.records.sort((one, other) => rankOf(one) - rankOf(other) || one.seq - other.seq)
    yield complete
  }
}

/** Orders calls before results: if one message answers several calls, none of these may come after another's result. */
function rankOf({ opens, answers }: MessageRecord): number {
  return answers.length > 0 && opens.length === 0 ? 1 : 0
}

/** Whether a record continues an answer that begins with reasoning. */
function isReasoned(records: readonly MessageRecord[], index: number): boolean {
  const record = records[index]
  if (record === undefined || (record.role !== 'assistant' && record.role !== 'reasoning')) return false
  for (let at = index - 1; at >= 0; at--) {
    const role = records[at]?.role
    if (role === 'reasoning') return true
    if (role !== 'assistant') return false
  }
  return false
}

function stateOf({ records }: Unit): 'whole' | 'waiting' | 'stray' {
  // Reasoning without an answer after it.
  if (records.at(-1)?.role === 'reasoning') return 'stray'
  const answers = records.flatMap((record) => record.answers)
  if (answers.some(({ madeAt }) => madeAt === undefined)) return 'stray'
  const calls = records.flatMap(({ opens }) => opens)
  // Two calls have the same id, and no result says which of them it answers: no provider accepts that.
  if (new Set(calls).size < calls.length) return 'stray'
  return calls.length === answers.length ? 'whole' : 'waiting'
}
