/**
 * JSON for values that may contain dates, bytes, URLs and bigints, as the parts of the AI SDK do. Such a value becomes
 * `{ $date: text }` and the like; an object that looks like one is wrapped, so that it is not mistaken for one. What
 * JSON can't represent (functions, undefined members) is left out, as JSON does.
 */
export function pack(value: unknown): string {
  return JSON.stringify(toPlain(value))
}

/** @throws SyntaxError for text that `pack` did not make */
export function unpack(text: string): unknown {
  return fromPlain(JSON.parse(text))
}

function toPlain(value: unknown): unknown {
  if (typeof value === 'bigint') return { $bigint: String(value) }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return { $date: value.toISOString() }
  if (value instanceof URL) return { $url: value.href }
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(toPlain)
  const members = Object.entries(value).map(([name, member]) => [name, toPlain(member)] as const)
  const plain = Object.fromEntries(members)
  return isTagged(plain) ? { $object: plain } : plain
}

function fromPlain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(fromPlain)
  if (isTagged(value)) {
    const { $date, $url, $bytes, $bigint, $object } = value as Record<string, unknown>
    if (typeof $date === 'string') return new Date($date)
    if (typeof $url === 'string') return new URL($url)
    if (typeof $bytes === 'string') return new Uint8Array(Buffer.from($bytes, 'base64'))
    if (typeof $bigint === 'string') return BigInt($bigint)
    return membersOf($object)
  }
  return membersOf(value)
}

function membersOf(value: unknown): unknown {
  const members = Object.entries(value ?? {}).map(([name, member]) => [name, fromPlain(member)] as const)
  return Object.fromEntries(members)
}

function isTagged(value: object): boolean {
  const [name, ...more] = Object.keys(value)
  return more.length === 0 && name !== undefined && /^\$(?:date|url|bytes|bigint|object)$/.test(name)
}
