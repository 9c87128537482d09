import { randomUUID } from 'node:crypto'
import type { Reply } from '@evenkeel/core'
import type { MessageRecord, Summary } from '../messages/record.js'
import type { Page, ThreadDump, ThreadStore } from './port.js'
import { asList, readSummary } from './replies.js'
import type { ThreadId } from './thread-id.js'

/** What a dump has beside version, newest seq, state and records. */
type DumpHead = Omit<ThreadDump, 'version' | 'newest' | 'state' | 'records'>

const pageSize = 500

/** Maxima of what one command writes, apart from its last message. */
const atOnce = { fields: 400, bytes: 1 << 20 }

/** How often a thread whose earlier records change is read; after that, the dump is what was read last. */
const maxTries = 5

/** Reads a thread page by page, and again if an earlier record changed meanwhile. */
export async function dumpThread(
  store: Pick<ThreadStore, 'page' | 'state'>,
  id: ThreadId,
  readHead: () => Promise<DumpHead | undefined>,
): Promise<ThreadDump | undefined> {
  for (let tries = 1; ; tries++) {
    const head = await readHead()
    if (head === undefined) return undefined
    const state = await store.state(id)
    const records: MessageRecord[] = []
    let first: Page | undefined
    let isWhole = true
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page: Page = await store.page(id, { after, limit: pageSize })
      first ??= page
      isWhole &&= page.epoch === first.epoch && page.edited === first.edited
      records.push(...page.records)
      after = page.next
    }
    if (first === undefined || (!isWhole && tries < maxTries)) continue
    const { newest, version } = first
    return { ...head, version, newest, state, records: records.filter(({ seq }) => seq <= newest) }
  }
}

export function readDump(reply: readonly Reply[]): DumpHead {
  const [ttl, created, changed, pinned, tokensEver, turns, , summaries] = reply
  const flat = asList(summaries)
  const read: Summary[] = []
  for (let index = 0; index < flat.length; index += 2) {
    const summary = readSummary(Number(flat[index]), String(flat[index + 1]))
    if (summary !== undefined) read.push(summary)
  }
  return {
    ttlMs: Number(ttl),
    createdAt: Number(created),
    changedAt: Number(changed),
    tokensEver: Number(tokensEver),
    turns: Number(turns),
    pinned: String(pinned).split(' ').filter(Boolean).map(Number),
    summaries: read,
  }
}

/** The head of a thread as the arguments of scripts/thread/restore.lua. */
export function headOf({ records, version, newest, pinned, ...dump }: ThreadDump): string[] {
  const sum = (of: (record: MessageRecord) => number) =>
    records.reduce((total, record) => total + of(record), 0)
  const sizes = [sum(({ tokens }) => tokens), sum(({ body }) => Buffer.byteLength(body))]
  const counters = [version, newest, records.length, ...sizes, dump.tokensEver, dump.turns]
  const texts = [...counters, dump.createdAt, dump.changedAt].map(String)
  return [randomUUID(), ...texts, pinned.join(' ')]
}

/** The other fields of a thread's hash (see scripts/thread/thread.lua), some at a time: name, value, … */
export function* fieldsOf(dump: ThreadDump): Generator<string[]> {
  const { records, state, summaries } = dump
  const [current] = summaries
  const meta: [string, string | number][] = [
    ['_v', 1],
    ['_k', [...state.keys()].map(encodeURIComponent).join(' ')],
    ...(current === undefined ? [] : [['_s', `${current.number} ${current.to}`] as [string, string]]),
  ]
  const fields: string[] = meta.flatMap(([name, value]) => [name, String(value)])
  for (const { number, to, tokens, at, body } of summaries) {
    fields.push(`^${number}`, `${to}|${tokens}|${at}|\n${body}`)
  }
  for (const [key, value] of state)
    fields.push(`$${encodeURIComponent(key)}`, `${value.version} ${value.value}`)
  const openCalls = new Map<string, number>()
  let bytes = 0
  for (const record of records) {
    for (const { call } of record.answers) openCalls.delete(call)
    for (const call of record.opens) openCalls.set(call, record.seq)
    const id = encodeURIComponent(record.id)
    fields.push(String(record.seq), textOf(record))
    bytes += record.body.length
    fields.push(`#${id}`, record.revision === 0 ? String(record.seq) : `${record.seq}.${record.digest}`)
    if (fields.length < atOnce.fields && bytes < atOnce.bytes) continue
    yield fields.splice(0)
    bytes = 0
  }
  for (const [call, seq] of openCalls) fields.push(`@${encodeURIComponent(call)}`, String(seq))
  if (fields.length > 0) yield fields
}

function textOf(record: MessageRecord): string {
  const { id, role, tokens, tokensBefore, turn, at, revision, digest, opens, answers, body } = record
  const calls = opens.map(encodeURIComponent).join(',')
  const answered = answers.map(({ call, madeAt }) => `${encodeURIComponent(call)}@${madeAt ?? ''}`).join(',')
  const numbers = [tokens, tokensBefore, turn, at, revision].join('|')
  return `${encodeURIComponent(id)}|${role}|${numbers}|${digest}|${calls}|${answered}\n${body}`
}
