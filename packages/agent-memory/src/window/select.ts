import type { MessageRecord } from '../messages/record.js'

/** A message, or tool calls with their results: what a window holds as a whole or not at all. */
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
}

/** What a thread's store read, newest last. */
export interface Material {
  readonly records: readonly MessageRecord[]
  readonly pinned: readonly MessageRecord[]
}

/**
 * The newest units of a thread that fit into a budget, behind what is pinned. Results stand right behind
 * their calls, late ones too. Left out are results whose call is not there, and calls that were never
 * fully answered; unless the thread ends with them: then results are still to come, and the window ends
 * with them too.
 *
 * Records come in order and are the thread's newest; a unit whose call lies before them is not complete.
 */
export function chooseWindow({ records, pinned }: Material, { maxMessages, maxTokens }: Budget): Choice {
  const kept = pinned.filter(isPlain)
  const chosen: Unit[] = []
  let waiting: Unit | undefined
  let count = kept.length
  let tokens = tokensOf(kept)
  const newest = records.at(-1)?.seq
  for (const unit of unitsNewestFirst(without(records, kept))) {
    const state = stateOf(unit)
    if (state === 'stray' || (state === 'waiting' && unit.records.at(-1)?.seq !== newest)) continue
    if (count + unit.records.length > maxMessages || tokens + unit.tokens > maxTokens) break
    if (state === 'waiting') waiting = unit
    else chosen.push(unit)
    count += unit.records.length
    tokens += unit.tokens
  }
  const units = waiting === undefined ? chosen.reverse() : [...chosen.reverse(), waiting]
  return { records: [...kept, ...units.flatMap((unit) => unit.records)], tokens }
}

/** How much of a full window stays when an anchored one moves on. */
const lowWater = 0.6

/**
 * The records that an anchored window may hold. A window that moves with every message changes the prompt's
 * beginning every time, and a provider's prompt cache is of no use. So this one begins at fixed places: at
 * multiples of a step, counted in tokens (or messages) from the thread's beginning. It grows from such a
 * place until its budget is full, and then moves on to the next; every process finds the same place, without
 * anything being stored.
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

/** From the first turn that begins within a window; the window itself when none does. */
export function fromTurn(
  records: readonly MessageRecord[],
  pinned: readonly MessageRecord[],
): readonly MessageRecord[] {
  const kept = new Set(pinned.map(({ seq }) => seq))
  const own = records.filter(({ seq }) => !kept.has(seq))
  const begins = own.findIndex((record, index) => beginsTurn(record, own[index - 1]))
  return own.slice(Math.max(0, begins))
}

/** Where a window of a size begins whose thread has come to `end`, both counted alike. */
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
 * Walks back and yields a unit when its oldest message is reached. A result is tied to the seq of its call,
 * and one that answers several calls makes one unit of them: sets of seqs that are joined, each named by
 * its oldest (union-find, Galler and Fischer 1964).
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

  for (const record of records.toReversed()) {
    const unit = unitAt(oldestOf(record.seq))
    unit.records.push(record)
    unit.tokens += record.tokens
    for (const { madeAt } of record.answers) if (madeAt !== undefined) join(record.seq, madeAt)
    if (oldestOf(record.seq) !== record.seq) continue
    const complete = unitAt(record.seq)
    units.delete(record.seq)
    complete.records.sort((one, other) => one.seq - other.seq)
    yield complete
  }
}

function stateOf({ records }: Unit): 'whole' | 'waiting' | 'stray' {
  const answers = records.flatMap((record) => record.answers)
  if (answers.some(({ madeAt }) => madeAt === undefined)) return 'stray'
  const calls = records.reduce((total, { opens }) => total + opens.length, 0)
  return calls === answers.length ? 'whole' : 'waiting'
}
