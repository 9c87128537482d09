import type { Reply } from '@evenkeel/core'
import { listOf as repliesOf } from '@evenkeel/core/kit'
import type { MessageRecord, Summary } from '../messages/record.js'
import type { Change, ChangeOutcome } from './change.js'
import type { Limit } from './limits.js'
import type { ThreadVersion } from './thread-id.js'

/** @throws UnexpectedReplyError for a reply that is no list, such as QUEUED inside a MULTI */
export function asList(reply: Reply | undefined): readonly Reply[] {
  return repliesOf('agent-memory', reply ?? null)
}

/** The beginning of each script's reply: status, epoch, generation, version, edited. */
export function standingOf(reply: readonly Reply[]): ThreadVersion {
  const [, epoch = '', generation = 0, version = 0, edited = 0] = reply
  return {
    epoch: String(epoch),
    generation: Number(generation),
    version: Number(version),
    edited: Number(edited),
  }
}

export function readRecords(reply: Reply | undefined): MessageRecord[] {
  const flat = asList(reply)
  const records: MessageRecord[] = []
  for (let index = 0; index < flat.length; index += 2) {
    records.push(readRecord(Number(flat[index]), String(flat[index + 1])))
  }
  return records
}

function readRecord(seq: number, stored: string): MessageRecord {
  const lineEnd = stored.indexOf('\n')
  const fields = stored.slice(0, lineEnd).split('|')
  const [id = '', role = '', tokens, tokensBefore, turn, at, revision, digest = '', opens, answers] = fields
  return {
    seq,
    id: decodeURIComponent(id),
    role,
    tokens: Number(tokens),
    tokensBefore: Number(tokensBefore),
    turn: Number(turn),
    at: Number(at),
    revision: Number(revision),
    digest,
    opens: listOf(opens).map(decodeURIComponent),
    answers: listOf(answers).map((answer) => {
      const [call = '', madeAt] = answer.split('@')
      return { call: decodeURIComponent(call), madeAt: madeAt ? Number(madeAt) : undefined }
    }),
    body: stored.slice(lineEnd + 1),
  }
}

const none: readonly string[] = []

function listOf(field: string | undefined): readonly string[] {
  return field === undefined || field === '' ? none : field.split(',')
}

export function readSummary(number: number, stored: string): Summary | undefined {
  if (number === 0 || stored === '') return undefined
  const lineEnd = stored.indexOf('\n')
  const [to, tokens, at] = stored.slice(0, lineEnd).split('|')
  return { number, to: Number(to), tokens: Number(tokens), at: Number(at), body: stored.slice(lineEnd + 1) }
}

/** Reads the reply of a change's script. If the operation was done before, its outcome comes as text. */
export function outcomeOf(change: Change, reply: readonly Reply[]): ChangeOutcome {
  const status = String(reply[0])
  const [first, second] = [reply[5], reply[6]]
  switch (status) {
    case 'done':
    case 'repeated':
      return doneOf(change, status === 'repeated' ? textsOf(change, String(first)) : reply.slice(5))
    case 'full':
      return { status, limit: String(first) as Limit }
    case 'conflict':
      if ('key' in change) return { status, current: Number(first) }
      return change.kind === 'edit' ? { status, current: Number(second) } : { status }
    case 'taken':
      return { status: 'conflict', id: decodeURIComponent(String(first)) }
    case 'stale':
      return { status: 'conflict' }
    case 'deleted':
      return { status }
    case 'missing':
    case 'calls':
    case 'number':
    case 'reused':
    case 'past':
      return { status }
    default:
      throw new TypeError(`A script answered '${status}'`)
  }
}

/** Splits a remembered outcome: a splice's seqs, an edit's seq and revision, a put's numbers, or a state's value. */
function textsOf({ kind }: Change, remembered: string): Reply[] {
  if (kind === 'edit') return remembered.split(' ')
  if (kind === 'put') return remembered.split(' ').filter(Boolean)
  return kind === 'splice' ? ['0', ...remembered.split(' ').filter(Boolean)] : [remembered]
}

function doneOf({ kind }: Change, details: readonly Reply[]): ChangeOutcome {
  const [first, second] = details
  switch (kind) {
    case 'edit':
      return { status: 'done', kind, seq: Number(first), revision: Number(second) }
    case 'remove':
    case 'pin':
      return { status: 'done', kind, seq: Number(first) }
    case 'splice':
      return { status: 'done', kind, seqs: details.slice(1).map(Number) }
    case 'put': {
      const [before = 0, removed = 0, count = 0, ...rest] = details.map(Number)
      const altered = rest.slice(count).map((place) => place - 1)
      return { status: 'done', kind, before, removed, seqs: rest.slice(0, count), altered }
    }
    case 'summarise':
      return { status: 'done', kind, number: Number(first) }
    default: {
      const text = String(first)
      const blank = text.indexOf(' ')
      return {
        status: 'done',
        kind: 'state',
        valueVersion: Number(text.slice(0, blank)),
        value: text.slice(blank + 1),
      }
    }
  }
}
