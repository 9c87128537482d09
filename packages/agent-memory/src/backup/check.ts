import { BackupDamagedError } from '../errors.js'
import type { MessageRecord, Summary } from '../messages/record.js'
import type { StateValue, ThreadDump } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'

/** A seq is at most so far above the number of messages: so many may have been removed from a thread. */
const maxHoles = 1_000_000

const maxMs = 8.64e15

/**
 * Checks every field of a thread of a backup before a store gets it: scripts loop over these numbers and split these
 * texts, and a checksum says only that they are the ones that were written. @throws BackupDamagedError
 */
export function checkDump(id: ThreadId, dump: ThreadDump): void {
  const { records, state, summaries, pinned, newest, ttlMs } = dump
  text('owner', id?.owner, 4_096)
  text('thread', id?.thread, 4_096)
  integer('ttlMs', ttlMs, { min: 1, max: maxMs })
  for (const name of ['createdAt', 'changedAt'] as const) integer(name, dump[name], { max: maxMs })
  for (const name of ['version', 'tokensEver', 'turns'] as const) integer(name, dump[name])
  integer('newest', newest, { max: records.length + maxHoles })
  let before = 0
  for (const record of records) {
    checkRecord(record, { min: before + 1, max: newest })
    before = record.seq
  }
  for (const seq of list('pinned', pinned)) integer('pinned', seq, { min: 1, max: newest })
  for (const summary of list('summaries', summaries)) checkSummary(summary, newest)
  for (const [key, value] of state) checkValue(key, value)
}

function checkRecord(record: MessageRecord, seqs: Bounds): void {
  const { seq, id, role, digest, opens, answers, body } = record
  integer('seq', seq, seqs)
  text('id', id, 512)
  if (!/^[\w-]{1,64}$/.test(text('role', role, 64))) fail('role')
  if (!/^[\w-]{1,64}$/.test(text('digest', digest, 64))) fail('digest')
  for (const name of ['tokens', 'tokensBefore', 'turn', 'revision'] as const) integer(name, record[name])
  integer('at', record.at, { max: maxMs })
  for (const call of list('opens', opens)) text('opens', call, 4_096)
  for (const answer of list('answers', answers)) {
    text('answers', answer?.call, 4_096)
    if (answer.madeAt !== undefined) integer('answers', answer.madeAt, { min: 1, max: seq })
  }
  if (typeof json('body', body) !== 'object') fail('body')
}

function checkSummary(summary: Summary, newest: number): void {
  integer('summary.number', summary?.number, { min: 1 })
  integer('summary.to', summary.to, { min: 1, max: newest })
  integer('summary.tokens', summary.tokens)
  integer('summary.at', summary.at, { max: maxMs })
  if (typeof json('summary.body', summary.body) !== 'string') fail('summary.body')
}

function checkValue(key: string, value: StateValue): void {
  text('state', key, 256)
  integer('state', value?.version)
  json('state', value.value)
}

interface Bounds {
  readonly min?: number | undefined
  readonly max?: number | undefined
}

function integer(
  field: string,
  value: unknown,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: Bounds = {},
): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) fail(field)
}

function text(field: string, value: unknown, max: number): string {
  if (typeof value !== 'string' || value === '' || value.length > max || !value.isWellFormed())
    return fail(field)
  return value
}

function list<T>(field: string, value: readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : fail(field)
}

function json(field: string, value: unknown): unknown {
  try {
    return typeof value === 'string' ? (JSON.parse(value) as unknown) : fail(field)
  } catch {
    return fail(field)
  }
}

function fail(field: string): never {
  throw new BackupDamagedError(`the field ${field} of a thread is not one that a thread can have`)
}
