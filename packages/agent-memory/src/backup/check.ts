import { BackupDamagedError } from '../errors.js'
import { FieldError, fields, integer, json, list, maxMs, text, word } from '../stores/fields.js'
import type { ThreadDump } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'

/** How far a seq may be above the number of messages, since removed messages leave gaps. */
const maxHoles = 1_000_000

/**
 * Checks every field of a thread of a backup before a store gets it: scripts loop over these numbers and split these
 * texts, and a checksum says only that they are the ones that were written. @throws BackupDamagedError
 */
export function checkDump(id: ThreadId, dump: ThreadDump): void {
  try {
    checkHead(id, dump)
  } catch (error) {
    if (!(error instanceof FieldError)) throw error
    throw new BackupDamagedError(`the field ${error.field} of a thread is not one that a thread can have`)
  }
}

function checkHead(id: unknown, dump: ThreadDump): void {
  const { records, state, summaries, pinned, newest, ttlMs } = dump
  const { owner, thread } = fields('id', id)
  text('owner', owner)
  text('thread', thread)
  integer('ttlMs', ttlMs, { min: 1, max: maxMs })
  for (const name of ['createdAt', 'changedAt'] as const) integer(name, dump[name], { max: maxMs })
  for (const name of ['version', 'tokensEver', 'turns'] as const) integer(name, dump[name])
  integer('newest', newest, { max: records.length + maxHoles })
  let before = 0
  for (const record of records) before = checkRecord(record, { min: before + 1, max: newest })
  for (const seq of list('pinned', pinned)) integer('pinned', seq, { min: 1, max: newest })
  for (const summary of list('summaries', summaries)) checkSummary(summary, newest)
  for (const [key, value] of state) {
    text('state', key, 256)
    const { version, value: own } = fields('state', value)
    integer('state', version)
    json('state', own)
  }
}

/** @returns its seq */
function checkRecord(given: unknown, seqs: { readonly min: number; readonly max: number }): number {
  const record = fields('message', given)
  const seq = integer('seq', record.seq, seqs)
  text('id', record.id, 512)
  word('role', record.role)
  word('digest', record.digest)
  for (const name of ['tokens', 'tokensBefore', 'turn', 'revision']) integer(name, record[name])
  integer('at', record.at, { max: maxMs })
  for (const call of list('opens', record.opens)) text('opens', call)
  for (const answer of list('answers', record.answers)) {
    const { call, madeAt } = fields('answers', answer)
    text('answers', call)
    if (madeAt !== undefined) integer('answers', madeAt, { min: 1, max: seq })
  }
  fields('body', json('body', record.body))
  return seq
}

function checkSummary(given: unknown, newest: number): void {
  const { number, to, tokens, at, body } = fields('summaries', given)
  integer('summary.number', number, { min: 1 })
  integer('summary.to', to, { min: 1, max: newest })
  integer('summary.tokens', tokens)
  integer('summary.at', at, { max: maxMs })
  if (typeof json('summary.body', body) !== 'string') throw new FieldError('summary.body')
}
