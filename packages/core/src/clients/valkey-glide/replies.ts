import type { Argument, Reply } from '../port.js'

const streamEntries = /^(XREAD|XREADGROUP|XRANGE|XREVRANGE|XCLAIM|XAUTOCLAIM)$/i
const doubles = /^(ZSCORE|ZMSCORE|ZINCRBY|INCRBYFLOAT|HINCRBYFLOAT|GEODIST)$/i

/** Converts a reply to the shapes of RESP2: for some commands the library returns objects, booleans or doubles. */
export function readReply(args: readonly Argument[], reply: unknown): Reply {
  const command = String(args[0])
  return flatten(reply, { isNested: streamEntries.test(command), isDouble: doubles.test(command) })
}

interface Shape {
  /** Pairs become arrays of two, as in streams; otherwise their elements follow each other in one flat list. */
  readonly isNested: boolean
  /** Whole numbers are doubles too, and become text. */
  readonly isDouble: boolean
}

function flatten(reply: unknown, shape: Shape): Reply {
  switch (typeof reply) {
    case 'string':
      return reply
    case 'boolean':
      return reply ? 1 : 0
    case 'bigint':
      return Number(reply)
    case 'number':
      return shape.isDouble || !Number.isInteger(reply) ? textOf(reply) : reply
    default:
      if (reply === null || reply === undefined) return null
      if (Buffer.isBuffer(reply)) return reply
      if (Array.isArray(reply)) return reply.flatMap((one: unknown) => elements(one, shape))
      return Object.entries(reply).flatMap(([key, value]) => [key, flatten(value, shape)])
  }
}

/** One element of an array, or the two of a pair. */
function elements(one: unknown, shape: Shape): Reply[] {
  if (!isPair(one)) return [flatten(one, shape)]
  const value = one.value
  if (!shape.isNested) return [flatten(one.key, shape), flatten(value, { ...shape, isDouble: true })]
  // The fields of an entry are pairs too, but become one flat list.
  const isFields = Array.isArray(value) && value.every((field) => Array.isArray(field) && field.length === 2)
  return [[flatten(one.key, shape), isFields ? (value.flat() as Reply[]) : flatten(value, shape)]]
}

function isPair(one: unknown): one is { readonly key: unknown; readonly value: unknown } {
  return (
    typeof one === 'object' &&
    one !== null &&
    !Array.isArray(one) &&
    !Buffer.isBuffer(one) &&
    'key' in one &&
    'value' in one
  )
}

function textOf(double: number): string {
  if (double === Number.POSITIVE_INFINITY) return 'inf'
  return double === Number.NEGATIVE_INFINITY ? '-inf' : String(double)
}
