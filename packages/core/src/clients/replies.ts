import type { Argument, Reply } from './port.js'

/**
 * Converts a reply to the shapes of RESP2. With RESP3, clients nest the scores of sorted sets, flatten the pairs of
 * stream reads, and return booleans; their type mapping has converted everything else.
 */
export function normaliseReply(args: readonly Argument[], reply: unknown): Reply {
  if (reply === null || typeof reply === 'string' || typeof reply === 'number') return reply
  if (typeof reply === 'boolean') return reply ? 1 : 0
  if (Buffer.isBuffer(reply)) return reply
  if (reply === undefined) return null
  if (typeof reply === 'bigint') return Number(reply)
  if (!Array.isArray(reply)) return flatten(reply)
  if (Array.isArray(reply[0]) && isWithScores(args)) return reply.flat() as Reply[]
  if (typeof reply[0] === 'string' && isStreamRead(args)) return pairs(reply as Reply[])
  return reply as Reply[]
}

/** Flattens a map that no type mapping has converted: an object, or a Map. */
function flatten(reply: unknown): Reply[] {
  const entries = reply instanceof Map ? [...reply] : Object.entries(reply as object)
  return entries.flat() as Reply[]
}

function isWithScores(args: readonly Argument[]): boolean {
  const name = String(args[0])
  if (/^ZPOP(MIN|MAX)$/i.test(name)) return true
  return /^Z/i.test(name) && args.some((arg) => typeof arg === 'string' && /^WITHSCORES$/i.test(arg))
}

function isStreamRead(args: readonly Argument[]): boolean {
  return /^XREAD(GROUP)?$/i.test(String(args[0]))
}

function pairs(flat: Reply[]): Reply[] {
  const result: Reply[] = []
  for (let index = 0; index < flat.length; index += 2)
    result.push([flat[index] ?? null, flat[index + 1] ?? null])
  return result
}
