import { createHash, type Hash } from 'node:crypto'
import { InvalidInputError } from '@evenkeel/core'
import { BackupDamagedError } from '../errors.js'
import { newId } from '../messages/ids.js'
import type { MessageRecord, Summary } from '../messages/record.js'
import type { StateValue, ThreadDump, ThreadStore } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import { checkDump } from './check.js'
import { type BackupSource, chunksOf, linesOf } from './lines.js'

export interface BackupOptions {
  readonly signal?: AbortSignal | undefined
}

export interface RestoreOptions {
  /**
   * What to do if a thread already exists: `skip` leaves it, `merge` appends the messages that it does not have,
   * `replace` puts the backup's thread in its place. @default 'skip'
   */
  readonly mode?: 'skip' | 'merge' | 'replace' | undefined
  readonly signal?: AbortSignal | undefined
}

export interface BackupReport {
  readonly threads: number
  readonly messages: number
}

export interface RestoreReport extends BackupReport {
  readonly skipped: number
  readonly merged: number
  /** Messages of merged threads that were left out because the thread has another message with their id. */
  readonly conflicts: number
}

export interface VerifyReport extends BackupReport {
  /** Threads that are missing in the store, in part or as a whole, or that differ from the backup. */
  readonly different: readonly ThreadId[]
  /**
   * Threads that hold all of the backup's messages unchanged, but with others too or at other seqs and times,
   * as after a merge or further writes. Their order, pins, summaries and values are not compared.
   */
  readonly grown: readonly ThreadId[]
}

const version = 1

/** Lines of a backup: a header, one thread after the other, and a footer with counts and a checksum of all lines. */
type Line =
  | {
      readonly kind: 'header'
      readonly format: 'evenkeel.agent-memory'
      readonly version: number
      readonly at: string
    }
  | { readonly kind: 'thread'; readonly id: ThreadId; readonly head: DumpHead }
  | { readonly kind: 'message'; readonly record: MessageRecord }
  | { readonly kind: 'footer'; readonly threads: number; readonly messages: number; readonly sha256: string }

interface DumpHead extends Omit<ThreadDump, 'records' | 'state'> {
  readonly state: readonly (readonly [string, StateValue])[]
  readonly summaries: readonly Summary[]
  readonly messages: number
}

/** Yields a backup of threads, line by line; it holds one thread at a time in memory. */
export async function* backup(
  store: ThreadStore,
  owners: Iterable<string> | AsyncIterable<string>,
  { signal }: BackupOptions = {},
): AsyncGenerator<string> {
  const hash = createHash('sha256')
  let [threads, messages] = [0, 0]
  const at = new Date().toISOString()
  yield write({ kind: 'header', format: 'evenkeel.agent-memory', version, at }, hash)
  for await (const owner of owners) {
    for await (const thread of threadsOf(store, owner)) {
      signal?.throwIfAborted()
      const id = { owner, thread }
      const dump = await store.dump(id)
      if (dump === undefined) continue
      const { records, state, ...rest } = dump
      threads++
      messages += records.length
      const head = { ...rest, state: [...state], messages: records.length }
      yield write({ kind: 'thread', id, head }, hash)
      for (const record of records) yield write({ kind: 'message', record }, hash)
    }
  }
  yield write({ kind: 'footer', threads, messages, sha256: hash.digest('hex') })
}

/**
 * Restores a backup. If it is an array, text or bytes, all of it is checked before anything is written. From a stream,
 * each thread is written as soon as it is complete, and later damage is reported when it is found.
 */
export async function restore(
  store: ThreadStore,
  source: BackupSource,
  merge: (id: ThreadId, dump: ThreadDump) => Promise<number>,
  { mode = 'skip', signal }: RestoreOptions = {},
): Promise<RestoreReport> {
  if (!['skip', 'merge', 'replace'].includes(mode)) {
    throw new InvalidInputError('mode', "'skip', 'merge' or 'replace'", mode)
  }
  let [threads, messages, skipped, merged, conflicts] = [0, 0, 0, 0, 0]
  for await (const { id, dump } of read(await checked(source))) {
    signal?.throwIfAborted()
    if (mode === 'replace') await store.delete(id, { token: newId() })
    if (await store.restore(id, dump)) {
      threads++
      messages += dump.records.length
    } else if (mode === 'merge') {
      merged++
      conflicts += await merge(id, dump)
    } else skipped++
  }
  return { threads, messages, skipped, merged, conflicts }
}

/** Compares a backup with what is in the store now. */
export async function verify(store: ThreadStore, source: BackupSource): Promise<VerifyReport> {
  const different: ThreadId[] = []
  const grown: ThreadId[] = []
  let [threads, messages] = [0, 0]
  for await (const { id, dump } of read(await checked(source))) {
    threads++
    messages += dump.records.length
    const now = await store.dump(id)
    if (now !== undefined && comparable(now) === comparable(dump)) continue
    const list = now !== undefined && hasGrown(now, dump) ? grown : different
    list.push(id)
  }
  return { threads, messages, different, grown }
}

/** Checks a backup that is not a stream as a whole first, so that nothing of a damaged one is restored. */
async function checked(source: BackupSource): Promise<AsyncIterable<string>> {
  const chunks = chunksOf(source)
  if (Array.isArray(chunks)) for await (const _ of read(linesOf(chunks))) void _
  return linesOf(chunks)
}

async function* read(
  lines: AsyncIterable<string>,
): AsyncGenerator<{ readonly id: ThreadId; readonly dump: ThreadDump }> {
  const hash = createHash('sha256')
  let open: { id: ThreadId; head: DumpHead; records: MessageRecord[] } | undefined
  let [threads, messages, number, isWhole] = [0, 0, 0, false]
  for await (const text of lines) {
    if (text.trim() === '') continue
    number++
    const line = parse(text, number)
    if (isWhole) throw new BackupDamagedError('something follows its end')
    if ((number === 1) !== (line.kind === 'header'))
      throw new BackupDamagedError('it does not begin with a header')
    if (line.kind === 'header' && (line.format !== 'evenkeel.agent-memory' || line.version !== version)) {
      throw new BackupDamagedError(`it is of another kind or version (${line.format} ${line.version})`)
    }
    if (line.kind !== 'message' && open !== undefined) {
      yield finished(open)
      open = undefined
    }
    if (line.kind === 'thread') {
      threads++
      open = { id: line.id, head: line.head, records: [] }
    } else if (line.kind === 'message') {
      messages++
      if (open === undefined) throw new BackupDamagedError(`line ${number} belongs to no thread`)
      open.records.push(line.record)
    } else if (line.kind === 'footer') {
      isWhole = line.threads === threads && line.messages === messages && line.sha256 === hash.digest('hex')
      if (!isWhole) throw new BackupDamagedError('its counts or its checksum are not those of its end')
      continue
    }
    hash.update(`${text.trimEnd()}\n`)
  }
  if (!isWhole) throw new BackupDamagedError('its end is missing')
}

function finished({
  id,
  head,
  records,
}: {
  id: ThreadId
  head: DumpHead
  records: readonly MessageRecord[]
}) {
  const { messages, state, ...rest } = head
  if (messages !== records.length) {
    throw new BackupDamagedError(`a thread of ${Number(messages)} messages has ${records.length}`)
  }
  const pairs: readonly unknown[] = Array.isArray(state) ? state : ['none']
  const isPairs = pairs.every((pair) => Array.isArray(pair))
  if (!isPairs) {
    throw new BackupDamagedError('the field state of a thread is not one that a thread can have')
  }
  const dump: ThreadDump = { ...rest, state: new Map<string, StateValue>(state), records }
  checkDump(id, dump)
  return { id, dump }
}

function write(line: Line, hash?: Hash): string {
  const text = `${JSON.stringify(line)}\n`
  hash?.update(text)
  return text
}

function parse(text: string, number: number): Line {
  try {
    const line: unknown = JSON.parse(text)
    if (typeof line === 'object' && line !== null && 'kind' in line) return line as Line
  } catch {
    // The error is thrown below.
  }
  throw new BackupDamagedError(`line ${number} can not be read`)
}

/** All threads that an owner has at this moment. */
async function* threadsOf(store: ThreadStore, owner: string): AsyncGenerator<string> {
  let cursor: string | undefined
  try {
    do {
      const page = await store.threads(owner, { limit: 500, cursor, purpose: 'walk' })
      cursor = page.cursor
      for (const { thread } of page.threads) yield thread
    } while (cursor !== undefined)
  } finally {
    if (cursor !== undefined) await store.endList(owner, cursor).catch(() => {})
  }
}

/** What a restored thread has in common with the one that was backed up. */
function comparable({ records, state, pinned, summaries, newest, tokensEver, turns }: ThreadDump): string {
  const values = [...state].map(([key, { value }]) => [key, value]).sort()
  const covers = summaries.map(({ number, to, tokens, body }) => [number, to, tokens, body])
  const messages = records.map((record) => {
    const { seq, id, role, tokens, tokensBefore, turn, at, revision, digest, opens, answers, body } = record
    const tied = answers.map(({ call, madeAt }) => [call, madeAt ?? 0])
    return [seq, id, role, tokens, tokensBefore, turn, at, revision, digest, opens, tied, body]
  })
  return JSON.stringify([messages, values, covers, pinned, newest, tokensEver, turns])
}

/** A thread with exactly the backup's messages has not grown: if anything in it differs, it was altered. */
function hasGrown(now: ThreadDump, { records }: ThreadDump): boolean {
  const there = new Map(now.records.map((record) => [record.id, record]))
  const isSamePlace = ({ seq, at, id }: MessageRecord) =>
    there.get(id)?.seq === seq && there.get(id)?.at === at
  if (now.records.length === records.length && records.every(isSamePlace)) return false
  return records.every(({ id, role, digest, body }) => {
    const found = there.get(id)
    return found?.role === role && found.digest === digest && found.body === body
  })
}
