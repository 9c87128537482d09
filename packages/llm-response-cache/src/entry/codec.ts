import { crc32 } from 'node:zlib'
import { type Compression, isCompressionId } from './compression.js'
import type { EntrySealer } from './encryption.js'
import { bytesOf, type Entry, type EntryKind, entryKinds } from './entry.js'

/**
 * Entries as bytes. Layout, numbers in little endian:
 *
 * ```
 * 0   'EKC2'
 * 4   kind, compression, sealed (a byte each), one byte of nothing
 * 8   status (u16), length of the names (u32) at 10, 14 unused u16
 * 16  created, fresh until, dead at (f64 each), cost ms (f32) at 40, input and output tokens (f64) at 44
 * 60  names: content type, model, versions, timing; texts are UTF-8 behind their length (u16)
 * …   body, compressed, then sealed
 * -8  CRC-32 over all before it, begun with that of its key: an entry under another key is a damaged one
 * -4  the entry's id
 * ```
 *
 * Bytes that do not fit this, of a newer version or damaged, read as nothing: a miss, never an error.
 */
export class EntryCodec {
  readonly #maxBytes: number
  readonly #compression: Compression
  readonly #sealer: EntrySealer | undefined

  /** `maxBytes`: a body that unpacks to more is not read. */
  constructor(compression: Compression, sealer: EntrySealer | undefined, maxBytes = 256 << 20) {
    this.#maxBytes = maxBytes
    this.#compression = compression
    this.#sealer = sealer
  }

  async encode(tenant: string, key: string, entry: Entry): Promise<Buffer> {
    const names = encodeNames(entry)
    const head = Buffer.alloc(headLength)
    head.write(magic, 'latin1')
    head[4] = entryKinds.indexOf(entry.kind)
    const packed = await this.#compression.compress(bytesOf(entry))
    head[5] = packed.id
    head[6] = this.#sealer === undefined ? 0 : 1
    head.writeUInt16LE(entry.status, 8)
    head.writeUInt32LE(names.byteLength, 10)
    head.writeDoubleLE(entry.createdAtMs, 16)
    head.writeDoubleLE(entry.freshUntilMs, 24)
    head.writeDoubleLE(entry.deadAtMs, 32)
    head.writeFloatLE(entry.costMs, 40)
    head.writeDoubleLE(entry.usage.input, 44)
    head.writeDoubleLE(entry.usage.output, 52)
    const open = Buffer.concat([head, names])
    const body = this.#sealer?.seal(tenant, [key, open], packed.bytes) ?? packed.bytes
    const content = Buffer.concat([open, body, Buffer.alloc(tailLength)])
    const end = content.byteLength - tailLength
    content.writeUInt32LE(checkOf(key, content.subarray(0, end)), end)
    content.write(entry.id, end + 4, 'hex')
    return content
  }

  /** Synchronous unless the body is compressed, since it is on the path of every hit. */
  decode(tenant: string, key: string, bytes: Buffer): Entry | undefined | Promise<Entry | undefined> {
    const end = bytes.byteLength - tailLength
    if (end < headLength || bytes.toString('latin1', 0, 4) !== magic) return undefined
    if (bytes.readUInt32LE(end) !== checkOf(key, bytes.subarray(0, end))) return undefined
    const kind = entryKinds[bytes[4] ?? -1]
    const compressionId = bytes[5] ?? 0
    const bodyAt = headLength + bytes.readUInt32LE(10)
    if (kind === undefined || bodyAt > end || !isCompressionId(compressionId)) return undefined
    const raw = this.#unsealed(tenant, key, bytes, bodyAt, end)
    if (raw === undefined) return undefined
    if (compressionId === 0) return this.#entry(kind, bytes, bodyAt, end, raw)
    return this.#compression
      .decompress(compressionId, raw, this.#maxBytes)
      .then((body) => body && this.#entry(kind, bytes, bodyAt, end, body))
  }

  /** `undefined` if the key is gone, or if the entry is sealed and this cache does not seal, or the reverse. */
  #unsealed(tenant: string, key: string, bytes: Buffer, bodyAt: number, end: number): Buffer | undefined {
    const raw = bytes.subarray(bodyAt, end)
    if ((bytes[6] === 1) !== (this.#sealer !== undefined)) return undefined
    return this.#sealer === undefined ? raw : this.#sealer.open(tenant, [key, bytes.subarray(0, bodyAt)], raw)
  }

  /** `undefined` for an entry that can't be served although its checksum is right. */
  #entry(kind: EntryKind, bytes: Buffer, bodyAt: number, end: number, body: Buffer): Entry | undefined {
    const names = new NameReader(bytes, headLength, bodyAt)
    const contentType = names.text()
    const model = names.text()
    const versions = Array.from({ length: names.count(minVersionLength) }, () => ({
      name: names.text(),
      value: names.text(),
    }))
    const timing = Array.from({ length: names.count(4) }, () => names.whole())
    const status = bytes.readUInt16LE(8)
    const times = [16, 24, 32].map((at) => bytes.readDoubleLE(at))
    if (names.isDamaged || !isServed(status) || !isHeaderText(contentType) || !times.every(Number.isFinite)) {
      return undefined
    }
    return {
      id: bytes.toString('hex', end + 4, end + 8),
      kind,
      createdAtMs: bytes.readDoubleLE(16),
      freshUntilMs: bytes.readDoubleLE(24),
      deadAtMs: bytes.readDoubleLE(32),
      costMs: bytes.readFloatLE(40),
      usage: { input: bytes.readDoubleLE(44), output: bytes.readDoubleLE(52) },
      status,
      versions,
      model,
      contentType,
      timing,
      // A copy, since the bytes are a slice of the socket's buffer, which they would keep in memory.
      body: kind === 'value' ? body.toString() : Buffer.from(body),
    }
  }
}

/** The id of an encoded entry, readable or not. */
export function idOf(bytes: Buffer): string {
  return bytes.toString('hex', Math.max(0, bytes.byteLength - 4))
}

const magic = 'EKC2'
const headLength = 60
const tailLength = 8
const maxCount = 0xffff

function checkOf(key: string, content: Buffer): number {
  return crc32(content, crc32(key))
}

function encodeNames({ contentType, model, versions, timing }: Entry): Buffer {
  const parts: Buffer[] = []
  const whole = (value: number, bytes: 2 | 4) => {
    const part = Buffer.alloc(bytes)
    part.writeUIntLE(value, 0, bytes)
    parts.push(part)
  }
  const text = (value: string) => {
    const bytes = Buffer.from(value).subarray(0, maxCount)
    whole(bytes.byteLength, 2)
    parts.push(bytes)
  }
  text(contentType)
  text(model)
  whole(versions.length, 2)
  for (const { name, value } of versions) {
    text(name)
    text(value)
  }
  const steps = timing.slice(0, maxCount)
  whole(steps.length, 2)
  for (const step of steps) whole(Math.min(0xffff_ffff, Math.max(0, Math.round(step))), 4)
  return Buffer.concat(parts)
}

/** Bytes of two empty texts. */
const minVersionLength = 4

/** Whether a response of this status can have a body. */
function isServed(status: number): boolean {
  return status >= 200 && status <= 599 && status !== 204 && status !== 205 && status !== 304
}

function isHeaderText(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

/** Reads up to an end; a read beyond it gives an empty value and sets `isDamaged`. */
class NameReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number
  isDamaged = false

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  /** Reads a number of items that take at least `minLength` bytes each. */
  count(minLength: number): number {
    const value = this.#number(2)
    if (value * minLength <= this.#end - this.#at) return value
    this.isDamaged = true
    return 0
  }

  whole(): number {
    return this.#number(4)
  }

  text(): string {
    const length = this.#number(2)
    const from = this.#at
    if (from + length > this.#end) {
      this.isDamaged = true
      return ''
    }
    this.#at = from + length
    return this.#bytes.toString('utf8', from, this.#at)
  }

  #number(length: 2 | 4): number {
    if (this.#at + length > this.#end) {
      this.isDamaged = true
      return 0
    }
    const value = this.#bytes.readUIntLE(this.#at, length)
    this.#at += length
    return value
  }
}
