import type { Reply } from '../clients/port.js'
import { UnexpectedReplyError } from '../errors.js'

/**
 * Readers of replies. A reply with a shape that its command never gives, such as the `QUEUED` of a connection inside a
 * MULTI, is refused, because it would acknowledge something that never happened. `command` names the command or script
 * in the error.
 */
export function listOf(command: string, reply: Reply): readonly Reply[] {
  if (Array.isArray(reply)) return reply
  throw new UnexpectedReplyError(command, 'a list')
}

/** An integer; also one that a client returns as text (ioredis with `stringNumbers`). */
export function integerOf(command: string, reply: Reply | undefined): number {
  if (typeof reply === 'number' && Number.isSafeInteger(reply)) return reply
  const text = Buffer.isBuffer(reply) ? reply.toString() : reply
  if (typeof text === 'string' && /^-?\d{1,16}$/.test(text) && Number.isSafeInteger(Number(text)))
    return Number(text)
  throw new UnexpectedReplyError(command, 'an integer')
}

/** Text, or `undefined` for a nil. */
export function textOf(command: string, reply: Reply | undefined): string | undefined {
  if (reply === null || reply === undefined) return undefined
  if (typeof reply === 'string') return reply
  if (Buffer.isBuffer(reply)) return reply.toString()
  throw new UnexpectedReplyError(command, 'text')
}

/** The status `OK`. */
export function okOf(command: string, reply: Reply): void {
  if (textIs(reply, 'OK')) return
  throw new UnexpectedReplyError(command, 'OK')
}

/** Pairs of a flat list, as HGETALL and many scripts give them. */
export function pairsOf(command: string, reply: Reply): readonly (readonly [string, Reply])[] {
  const flat = listOf(command, reply)
  if (flat.length % 2 !== 0) throw new UnexpectedReplyError(command, 'pairs')
  return Array.from({ length: flat.length / 2 }, (_, index) => [
    textOf(command, flat[index * 2]) ?? '',
    flat[index * 2 + 1] ?? null,
  ])
}

/** A map of the pairs of a flat list. */
export function mapOf(command: string, reply: Reply): ReadonlyMap<string, Reply> {
  return new Map(pairsOf(command, reply))
}

function textIs(reply: Reply, text: string): boolean {
  return reply === text || (Buffer.isBuffer(reply) && reply.toString() === text)
}
