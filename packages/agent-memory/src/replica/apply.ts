import type { PreparedMessage } from '../messages/prepare.js'
import type { MessageRecord } from '../messages/record.js'
import type { Change, Changed, ChangeOutcome } from '../stores/change.js'
import { fixedLimits, type Limits, noLimits } from '../stores/limits.js'
import { digestOf } from '../stores/operation-digest.js'
import type { ThreadImage } from './thread-image.js'

/** What a change needs beside the thread. */
interface ChangeTerms {
  readonly generation?: number | undefined
  readonly limits?: Limits | undefined
  readonly ownerIsFull?: boolean | undefined
}

/** Changes a thread in this process, once for each token, by the rules of the scripts; a test compares both. */
export function changeThread(
  image: ThreadImage,
  change: Change,
  now: number,
  { generation, ...terms }: ChangeTerms = {},
): Changed {
  const answer = (outcome: ChangeOutcome): Changed => ({ ...outcome, ...image.standing() })
  if (image.isOvertaken(generation)) return answer({ status: 'deleted' })
  if (!('token' in change)) return answer(applyChange(image, change, now, terms))
  const digest = typeof change.token === 'string' ? digestOf(change) : ''
  const before = image.operations.before(change.token, digest)
  if (before !== undefined) return answer(before)
  const { version } = image
  const outcome = applyChange(image, change, now, terms)
  if (image.version > version) image.operations.remember(change.token, digest, outcome, now)
  return answer(outcome)
}

function applyChange(
  image: ThreadImage,
  change: Change,
  now: number,
  terms: Omit<ChangeTerms, 'generation'>,
): ChangeOutcome {
  switch (change.kind) {
    case 'edit':
      return edit(image, change.message, change.revision)
    case 'remove': {
      const record = image.find(change.id)
      if (record === undefined) return { status: 'missing' }
      image.drop(record)
      image.changed(true)
      return { status: 'done', kind: 'remove', seq: record.seq }
    }
    case 'pin':
      return pin(image, change.id, change.pinned)
    case 'splice':
      return splice(image, change, now)
    case 'put':
      return put(image, change, now, terms)
    case 'summarise':
      return summarise(image, change, now)
    default:
      return write(image, change)
  }
}

function edit(image: ThreadImage, message: PreparedMessage, revision: number | undefined): ChangeOutcome {
  const known = image.find(message.id)
  if (known === undefined) return { status: 'missing' }
  const { seq } = known
  if (revision !== undefined && revision !== known.revision) {
    return { status: 'conflict', current: known.revision }
  }
  if (known.digest === message.digest) return { status: 'done', kind: 'edit', seq, revision: known.revision }
  const before = [known.opens, known.answers.map(({ call }) => call)]
  if (JSON.stringify(before) !== JSON.stringify([message.opens, message.answers])) return { status: 'calls' }
  const { role, tokens, digest, body } = message
  const edited: MessageRecord = { ...known, role, tokens, digest, body, revision: known.revision + 1 }
  image.forget(known)
  image.add(edited)
  image.changed(true)
  return { status: 'done', kind: 'edit', seq, revision: edited.revision }
}

function pin(image: ThreadImage, id: string, pins: boolean): ChangeOutcome {
  const record = image.find(id)
  if (record === undefined) return { status: 'missing' }
  if (record.opens.length + record.answers.length > 0) return { status: 'calls' }
  const { seq } = record
  const was = image.pinned.includes(seq)
  if (was !== pins) {
    const others = image.pinned.filter((other) => other !== seq)
    if (pins && others.length >= fixedLimits.pinned) return { status: 'full', limit: 'pinned' }
    image.pinned = pins ? [...others, seq].sort((one, other) => one - other) : others
    image.changed(true)
  }
  return { status: 'done', kind: 'pin', seq }
}

function splice(
  image: ThreadImage,
  { expected, messages }: Extract<Change, { kind: 'splice' }>,
  now: number,
): ChangeOutcome {
  const found: MessageRecord[] = []
  for (const record of image.downFrom(image.newest)) {
    const wanted = expected[expected.length - 1 - found.length]
    if (wanted === undefined) break
    if (record.id !== wanted.id || (wanted.digest ?? record.digest) !== record.digest) {
      return { status: 'conflict' }
    }
    found.push(record)
  }
  if (found.length < expected.length) return { status: 'conflict' }
  const goes = new Set(found.map(({ id }) => id))
  const taken = messages.find(({ id }) => !goes.has(id) && image.has(id))
  if (taken !== undefined) return { status: 'conflict', id: taken.id }
  for (const record of found) image.drop(record)
  image.begin()
  for (const message of messages) image.place(message, now)
  image.changed(true)
  return { status: 'done', kind: 'splice', seqs: messages.map(({ id }) => image.seqOf(id) ?? 0) }
}

/** See scripts/thread/put.lua. */
function put(
  image: ThreadImage,
  { messages, removes }: Extract<Change, { kind: 'put' }>,
  now: number,
  { limits = noLimits, ownerIsFull = false }: Omit<ChangeTerms, 'generation'>,
): ChangeOutcome {
  const before = image.newest
  const there = new Map<string, MessageRecord>()
  const moved = new Set<string>()
  let [last, moves] = [0, false]
  for (const { id } of messages) {
    const record = image.find(id)
    if (record !== undefined) {
      there.set(id, record)
      if (moves || (removes !== undefined && record.seq < last)) {
        moves = true
        moved.add(id)
      } else last = record.seq
    } else if (removes !== undefined) moves = true
  }
  const gone = removes === undefined ? [] : notGiven(image, there, removes)
  const added = messages.length - there.size
  const size = (of: Iterable<{ readonly body: string }>) => {
    let bytes = 0
    for (const { body } of of) bytes += Buffer.byteLength(body)
    return bytes
  }
  const growth = size(messages) - size(there.values()) - size(gone)
  const isOver = (limit: number, value: number) => limit > 0 && value > limit
  if (added > 0 && isOver(limits.messages, image.count + added - gone.length)) {
    return { status: 'full', limit: 'messages' }
  }
  if (growth > 0 && isOver(limits.bytes, image.bodyBytes + growth)) return { status: 'full', limit: 'bytes' }
  if (added > 0 && ownerIsFull && !image.exists) return { status: 'full', limit: 'threads' }
  let rewrites = gone.length > 0 || moved.size > 0
  for (const record of gone) image.drop(record)
  for (const [id, record] of there) if (moved.has(id)) image.drop(record)
  if (added > 0) image.begin()
  const altered: number[] = []
  const seqs = messages.map((message, index) => {
    const record = there.get(message.id)
    if (record?.digest !== message.digest) altered.push(index)
    if (record === undefined || moved.has(message.id)) {
      rewrites = image.place(message, now) || rewrites
      return image.newest
    }
    if (record.digest !== message.digest) {
      image.rewrite(record, message)
      rewrites = true
    }
    return record.seq
  })
  if (added > 0 || rewrites) image.changed(rewrites)
  return { status: 'done', kind: 'put', before, removed: gone.length, seqs, altered }
}

/** Messages of a range that are not among the given ones, in order. */
function notGiven(
  image: ThreadImage,
  given: ReadonlyMap<string, MessageRecord>,
  { from, upTo }: { readonly from: number; readonly upTo: number },
): readonly MessageRecord[] {
  const seqs = [...given.values()].map(({ seq }) => seq)
  const first = from === 0 ? Math.min(image.newest + 1, ...seqs) : from
  const gone: MessageRecord[] = []
  for (const record of image.downFrom(Math.min(upTo, image.newest))) {
    if (record.seq < first) break
    if (!given.has(record.id)) gone.push(record)
  }
  return gone.reverse()
}

function summarise(
  image: ThreadImage,
  { plan, to, before, edited, tokens, body }: Extract<Change, { kind: 'summarise' }>,
  now: number,
): ChangeOutcome {
  const [current] = image.summaries
  const number = current?.number ?? 0
  if (current?.plan === plan) return { status: 'done', kind: 'summarise', number }
  const isStale =
    before !== number || edited !== image.edited || to <= (current?.to ?? 0) || to > image.newest
  if (isStale) return { status: 'conflict' }
  const summary = { number: number + 1, to, tokens, at: now, body, plan }
  image.summaries = current === undefined ? [summary] : [summary, current]
  image.changed(true)
  return { status: 'done', kind: 'summarise', number: number + 1 }
}

function write(
  image: ThreadImage,
  change: Extract<Change, { kind: 'set' | 'add' | 'unset' }>,
): ChangeOutcome {
  const { kind, key } = change
  const known = image.state.get(key)
  const version = kind === 'add' ? undefined : change.version
  if (version !== undefined && version !== (known?.version ?? 0)) {
    return { status: 'conflict', current: known?.version ?? 0 }
  }
  if (kind === 'unset') {
    if (image.state.delete(key)) image.changed(false)
    return { status: 'done', kind: 'state', valueVersion: 0, value: '' }
  }
  let value = kind === 'set' ? change.value : ''
  if (kind === 'add') {
    const sum: unknown = JSON.parse(known?.value ?? '0')
    if (typeof sum !== 'number') return { status: 'number' }
    value = JSON.stringify(sum + change.by)
  }
  if (known === undefined && image.state.size >= fixedLimits.stateKeys)
    return { status: 'full', limit: 'state' }
  image.begin()
  const next = image.version + 1
  image.state.set(key, { version: next, value })
  image.changed(false)
  return { status: 'done', kind: 'state', valueVersion: next, value }
}
