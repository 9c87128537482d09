import type { PreparedMessage } from '../messages/message.js'
import type { Record } from '../messages/record.js'
import { type Change, type ChangeOutcome, most } from '../stores/change.js'
import type { ThreadLog } from './thread-image.js'

/** Changes a thread in this process, by the same rules as the scripts of the same names; a test compares both. */
export function applyChange(log: ThreadLog, change: Change, now: number): ChangeOutcome {
  switch (change.kind) {
    case 'edit':
      return edit(log, change.message, change.revision)
    case 'remove': {
      const record = log.find(change.id)
      if (record === undefined) return { status: 'missing' }
      log.drop(record)
      log.changed(true)
      return { status: 'done', kind: 'remove', seq: record.seq }
    }
    case 'pin':
      return pin(log, change.id, change.pinned)
    case 'splice':
      return splice(log, change, now)
    case 'summarise':
      return summarise(log, change, now)
    default:
      return write(log, change)
  }
}

function edit(log: ThreadLog, message: PreparedMessage, revision: number | undefined): ChangeOutcome {
  const known = log.find(message.id)
  if (known === undefined) return { status: 'missing' }
  const { seq } = known
  if (revision !== undefined && revision !== known.revision) {
    return { status: 'conflict', current: known.revision }
  }
  if (known.digest === message.digest) return { status: 'done', kind: 'edit', seq, revision: known.revision }
  const before = [known.opens, known.answers.map(({ call }) => call)]
  if (JSON.stringify(before) !== JSON.stringify([message.opens, message.answers])) return { status: 'calls' }
  const { role, tokens, digest, body } = message
  const edited: Record = { ...known, role, tokens, digest, body, revision: known.revision + 1 }
  log.forget(known)
  log.add(edited)
  log.changed(true)
  return { status: 'done', kind: 'edit', seq, revision: edited.revision }
}

function pin(log: ThreadLog, id: string, pins: boolean): ChangeOutcome {
  const record = log.find(id)
  if (record === undefined) return { status: 'missing' }
  if (record.opens.length + record.answers.length > 0) return { status: 'calls' }
  const { seq } = record
  const was = log.pinned.includes(seq)
  if (was !== pins) {
    const others = log.pinned.filter((other) => other !== seq)
    if (pins && others.length >= most.pinned) return { status: 'full', limit: 'pinned' }
    log.pinned = pins ? [...others, seq].sort((one, other) => one - other) : others
    log.changed(true)
  }
  return { status: 'done', kind: 'pin', seq }
}

function splice(
  log: ThreadLog,
  { expected, messages }: Extract<Change, { kind: 'splice' }>,
  now: number,
): ChangeOutcome {
  const found: Record[] = []
  for (const record of log.downFrom(log.newest)) {
    const wanted = expected[expected.length - 1 - found.length]
    if (wanted === undefined) break
    if (record.id !== wanted.id || (wanted.digest ?? record.digest) !== record.digest) {
      return { status: 'conflict' }
    }
    found.push(record)
  }
  if (found.length < expected.length) return { status: 'conflict' }
  const goes = new Set(found.map(({ id }) => id))
  const taken = messages.find(({ id }) => !goes.has(id) && log.has(id))
  if (taken !== undefined) return { status: 'conflict', id: taken.id }
  for (const record of found) log.drop(record)
  log.begin()
  for (const message of messages) log.place(message, now)
  log.changed(true)
  return { status: 'done', kind: 'splice', seqs: messages.map(({ id }) => log.seqOf(id) ?? 0) }
}

function summarise(
  log: ThreadLog,
  { plan, to, before, edited, tokens, body }: Extract<Change, { kind: 'summarise' }>,
  now: number,
): ChangeOutcome {
  const [current] = log.summaries
  const number = current?.number ?? 0
  if (current?.plan === plan) return { status: 'done', kind: 'summarise', number }
  const isStale = before !== number || edited !== log.edited || to <= (current?.to ?? 0) || to > log.newest
  if (isStale) return { status: 'conflict' }
  const summary = { number: number + 1, to, tokens, at: now, body, plan }
  log.summaries = current === undefined ? [summary] : [summary, current]
  log.changed(true)
  return { status: 'done', kind: 'summarise', number: number + 1 }
}

function write(log: ThreadLog, change: Extract<Change, { kind: 'set' | 'add' | 'unset' }>): ChangeOutcome {
  const { kind, key } = change
  const known = log.state.get(key)
  const version = kind === 'add' ? undefined : change.version
  if (version !== undefined && version !== (known?.version ?? 0)) {
    return { status: 'conflict', current: known?.version ?? 0 }
  }
  if (kind === 'unset') {
    if (log.state.delete(key)) log.changed(false)
    return { status: 'done', kind: 'state', valueVersion: 0, value: '' }
  }
  let value = kind === 'set' ? change.value : ''
  if (kind === 'add') {
    const sum: unknown = JSON.parse(known?.value ?? '0')
    if (typeof sum !== 'number') return { status: 'number' }
    value = JSON.stringify(sum + change.by)
  }
  if (known === undefined && log.state.size >= most.stateKeys) return { status: 'full', limit: 'state' }
  log.begin()
  const next = log.version + 1
  log.state.set(key, { version: next, value })
  log.changed(false)
  return { status: 'done', kind: 'state', valueVersion: next, value }
}
