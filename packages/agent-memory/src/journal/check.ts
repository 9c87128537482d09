import type { PreparedMessage } from '../messages/prepare.js'
import type { Change } from '../stores/change.js'
import { FieldError, fields, integer, json, list, optional, text, word } from '../stores/fields.js'
import type { Token } from '../stores/token.js'
import type { ThreadWrite, Write } from './entry.js'

/** Maximum number of messages of one write; no call takes more. */
const maxMessages = 100_000

type Fields = Readonly<Record<string, unknown>>

/**
 * Checks a write from a line of a journal's file, and copies only known fields of it: scripts loop over these numbers
 * and lists, and anybody can compute a checksum. @throws FieldError
 */
export function checkWrite({ i, w }: Fields): ThreadWrite {
  const id = fields('i', i)
  const write = fields('w', w)
  return {
    id: { owner: text('owner', id.owner), thread: text('thread', id.thread) },
    write: {
      ...writeOf(write),
      generation: optional(write.generation, (own) => integer('generation', own)),
    } as Write,
  }
}

/** The write without its generation. */
function writeOf(write: Fields): object {
  switch (write.kind) {
    case 'append':
      return {
        kind: write.kind,
        batch: messagesOf(write.batch, 1),
        token: optional(write.token, (own) => text('token', own)),
        digest: optional(write.digest, (own) => text('digest', own)),
      }
    case 'delete':
      return { kind: write.kind, token: text('token', write.token) }
    case 'change':
      return { kind: write.kind, change: changeOf(fields('change', write.change)) }
    default:
      throw new FieldError('kind')
  }
}

function changeOf(change: Fields): Change {
  const kind = change.kind as Change['kind']
  switch (kind) {
    case 'edit': {
      const [message] = messagesOf([change.message], 1)
      if (message === undefined) throw new FieldError('message')
      const revision = optional(change.revision, (own) => integer('revision', own))
      return { kind, token: tokenOf(change.token), message, revision }
    }
    case 'remove':
      return { kind, id: idOf(change.id) }
    case 'pin':
      if (typeof change.pinned !== 'boolean') throw new FieldError('pinned')
      return { kind, id: idOf(change.id), pinned: change.pinned }
    case 'splice':
      return spliceOf(change)
    case 'put':
      return putOf(change)
    case 'set':
    case 'unset':
    case 'add':
      return stateOf(kind, change)
    case 'summarise':
      return summaryOf(change)
    default:
      throw new FieldError('kind')
  }
}

function spliceOf({ token, digest, expected, messages }: Fields): Change {
  return {
    kind: 'splice',
    token: tokenOf(token),
    digest: optional(digest, (own) => text('digest', own)),
    expected: list('expected', expected, maxMessages).map((one) => {
      const own = fields('expected', one)
      return { id: idOf(own.id), digest: optional(own.digest, (digest) => word('digest', digest)) }
    }),
    messages: messagesOf(messages, 0),
  }
}

function putOf({ token, messages, removes }: Fields): Change {
  return {
    kind: 'put',
    token: tokenOf(token),
    messages: messagesOf(messages, 1),
    removes: optional(removes, (given) => {
      const { from, upTo } = fields('removes', given)
      return { from: integer('removes', from), upTo: integer('removes', upTo) }
    }),
  }
}

function stateOf(kind: 'set' | 'unset' | 'add', change: Fields): Change {
  const token = tokenOf(change.token)
  const key = text('key', change.key, 256)
  if (kind === 'add') {
    if (typeof change.by !== 'number' || !Number.isFinite(change.by)) throw new FieldError('by')
    return { kind, token, key, by: change.by }
  }
  const version = optional(change.version, (own) => integer('version', own))
  if (kind === 'unset') return { kind, token, key, version }
  json('value', change.value)
  return { kind, token, key, value: String(change.value), version }
}

function summaryOf({ plan, to, before, edited, tokens, body }: Fields): Change {
  if (typeof json('body', body) !== 'string') throw new FieldError('body')
  return {
    kind: 'summarise',
    plan: word('plan', plan),
    to: integer('to', to),
    before: integer('before', before),
    edited: integer('edited', edited),
    tokens: integer('tokens', tokens),
    body: String(body),
  }
}

/** The application's name of an operation, or a writer's number. */
function tokenOf(token: unknown): Token {
  if (typeof token === 'string') return text('token', token)
  const { writer, number } = fields('token', token)
  return { writer: word('token', writer), number: integer('token', number) }
}

function idOf(id: unknown): string {
  return text('id', id, 512)
}

function messagesOf(given: unknown, min: number): readonly PreparedMessage[] {
  const messages = list('messages', given, maxMessages).map(messageOf)
  // Scripts rely on each id being given once.
  const ids = new Set(messages.map(({ id }) => id))
  if (messages.length < min || ids.size < messages.length) throw new FieldError('messages')
  return messages
}

function messageOf(given: unknown): PreparedMessage {
  const { id, role, tokens, body, digest, opens, answers } = fields('message', given)
  fields('body', json('body', body))
  return {
    id: idOf(id),
    role: word('role', role),
    tokens: integer('tokens', tokens),
    body: String(body),
    digest: word('digest', digest),
    opens: callsOf(opens),
    answers: callsOf(answers),
  }
}

function callsOf(calls: unknown): readonly string[] {
  return list('calls', calls, maxMessages).map((call) => text('calls', call))
}
