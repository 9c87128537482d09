import { createHash } from 'node:crypto'

/** An answer as it is kept. */
export interface Entry {
  readonly kind: 'value' | 'response'
  /** When the provider gave it; milliseconds since 1970. */
  readonly createdAtMs: number
  readonly expiresAtMs: number
  /** The generation of the namespace in which the call began; another one now means that it was cleared. */
  readonly epoch: string
  readonly model: string
  /** Tokens that the provider counted for it; 0 when it did not say. */
  readonly tokens: number
  readonly status: number
  readonly contentType: string
  readonly body: Buffer
}

const magic = 'EKC1'
const checkLength = 8

/** `EKC1`, length of the head, head as JSON, body, and eight bytes of SHA-256 over all of it. */
export function encodeEntry({ body, ...head }: Entry): Buffer {
  const headBytes = Buffer.from(JSON.stringify(head))
  const start = Buffer.alloc(8)
  start.write(magic, 'latin1')
  start.writeUInt32BE(headBytes.length, 4)
  const content = Buffer.concat([start, headBytes, body])
  return Buffer.concat([content, checkOf(content)])
}

/** Gives nothing for what is damaged or of another version: that is a miss, never an error. */
export function decodeEntry(bytes: Buffer): Entry | undefined {
  if (bytes.length < 8 + checkLength || bytes.toString('latin1', 0, 4) !== magic) return undefined
  const content = bytes.subarray(0, -checkLength)
  if (!checkOf(content).equals(bytes.subarray(-checkLength))) return undefined
  const bodyAt = 8 + bytes.readUInt32BE(4)
  const head = JSON.parse(content.toString('utf8', 8, bodyAt)) as Omit<Entry, 'body'>
  return { ...head, body: content.subarray(bodyAt) }
}

function checkOf(content: Buffer): Buffer {
  return createHash('sha256').update(content).digest().subarray(0, checkLength)
}
