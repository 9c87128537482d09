import type { Record } from './store.js'

/** A message, or tool calls with their results: what a window holds as a whole or not at all. */
interface Unit {
  readonly records: Record[]
  tokens: number
}

export interface Budget {
  readonly maxMessages: number
  readonly maxTokens: number
}

/**
 * The newest units of a thread that fit into a budget, behind what is pinned. Results stand right behind
 * their calls, late ones too. Left out are results whose call is not there, and calls that were never
 * fully answered; unless the thread ends with them: then results are still to come, and the window ends
 * with them too.
 *
 * Records come in order and are the thread's newest; a unit whose call lies before them is not complete.
 */
export function chooseWindow(
  records: readonly Record[],
  pinned: readonly Record[],
  { maxMessages, maxTokens }: Budget,
): { readonly records: readonly Record[]; readonly tokens: number } {
  const chosen: Unit[] = []
  let waiting: Unit | undefined
  let count = pinned.length
  let tokens = pinned.reduce((sum, record) => sum + record.tokens, 0)
  const kept = new Set(pinned.map(({ seq }) => seq))
  const newest = records.at(-1)?.seq
  for (const unit of unitsNewestFirst(records.filter(({ seq }) => !kept.has(seq)))) {
    const state = stateOf(unit)
    if (state === 'stray' || (state === 'waiting' && unit.records.at(-1)?.seq !== newest)) continue
    if (count + unit.records.length > maxMessages || tokens + unit.tokens > maxTokens) break
    if (state === 'waiting') waiting = unit
    else chosen.push(unit)
    count += unit.records.length
    tokens += unit.tokens
  }
  const units = waiting === undefined ? chosen.reverse() : [...chosen.reverse(), waiting]
  return { records: [...pinned, ...units.flatMap((unit) => unit.records)], tokens }
}

/**
 * Walks back and yields a unit when its oldest message is reached. A result is tied to the seq of its call,
 * and one that answers several calls makes one unit of them: sets of seqs that are joined, each named by
 * its oldest (union-find, Galler and Fischer 1964).
 */
function* unitsNewestFirst(records: readonly Record[]): Generator<Unit> {
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
    for (const tie of record.ties) join(record.seq, tie)
    if (oldestOf(record.seq) !== record.seq) continue
    const complete = unitAt(record.seq)
    units.delete(record.seq)
    complete.records.sort((one, other) => one.seq - other.seq)
    yield complete
  }
}

function stateOf({ records }: Unit): 'whole' | 'waiting' | 'stray' {
  const sum = (field: 'calls' | 'results' | 'strays') =>
    records.reduce((total, record) => total + record[field], 0)
  if (sum('strays') > 0) return 'stray'
  return sum('calls') === sum('results') ? 'whole' : 'waiting'
}
