import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { InvalidOptionError } from '@evenkeel/core'
import { wholeNumber } from '@evenkeel/core/kit'

export interface CompressionOptions {
  /** Bodies of fewer bytes stay uncompressed: decompressing takes longer than the rest of a hit. @default 8_192 */
  readonly minBytes?: number | undefined
  /**
   * `auto` is zstd if Node has it (22.15), else brotli. If your instances have Node versions of both kinds, name an
   * algorithm that all of them have: an entry that an instance can't decompress is a miss there. @default 'auto'
   */
  readonly algorithm?: 'auto' | 'zstd' | 'brotli' | 'gzip' | undefined
}

/** Codes of algorithms in entries; their meaning never changes. */
const ids = { none: 0, gzip: 1, brotli: 2, zstd: 3 } as const
type CompressionId = (typeof ids)[keyof typeof ids]

export function isCompressionId(id: number): id is CompressionId {
  return id >= 0 && id <= 3
}

interface Algorithm {
  compress(bytes: Buffer): Promise<Buffer>
  decompress(bytes: Buffer, maxBytes: number): Promise<Buffer>
}

type Unpack = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

function algorithm(compress: (bytes: Buffer) => Promise<Buffer>, unpack: Unpack): Algorithm {
  return { compress, decompress: (bytes, maxBytes) => unpack(bytes, { maxOutputLength: maxBytes }) }
}

const gzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gzip)
const brotli = promisify<Buffer, zlib.BrotliOptions, Buffer>(zlib.brotliCompress)

/** Newer than the types and the oldest Node that we support. */
const zstd = zlib as {
  zstdCompress?: (bytes: Buffer, done: (error: Error | null, result: Buffer) => void) => void
  zstdDecompress?: (
    bytes: Buffer,
    options: { maxOutputLength: number },
    done: (error: Error | null, result: Buffer) => void,
  ) => void
}

const algorithms: Partial<Record<CompressionId, Algorithm>> = {
  [ids.gzip]: algorithm((bytes) => gzip(bytes, { level: 1 }), promisify(zlib.gunzip) as Unpack),
  [ids.brotli]: algorithm(
    (bytes) => brotli(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
    promisify(zlib.brotliDecompress) as Unpack,
  ),
  ...(zstd.zstdCompress && zstd.zstdDecompress
    ? { [ids.zstd]: algorithm(promisify(zstd.zstdCompress), promisify(zstd.zstdDecompress) as Unpack) }
    : {}),
}

/** Share that compression must save to be worth the decompression. */
const minSaving = 0.2

/** Compresses bodies where it saves enough, off the main thread. */
export class Compression {
  readonly #minBytes: number
  readonly #id: CompressionId

  constructor(options: CompressionOptions | false = {}) {
    const { minBytes = 8_192, algorithm: name = 'auto' } = options === false ? {} : options
    this.#minBytes =
      options === false ? Number.POSITIVE_INFINITY : wholeNumber('compress.minBytes', minBytes, 0)
    const best = algorithms[ids.zstd] === undefined ? 'brotli' : 'zstd'
    const id = (ids as Record<string, CompressionId | undefined>)[name === 'auto' ? best : name]
    if (id === undefined || algorithms[id] === undefined) {
      throw new InvalidOptionError(
        'compress.algorithm',
        "what this Node has of 'zstd', 'brotli', 'gzip'",
        name,
      )
    }
    this.#id = id
  }

  async compress(bytes: Buffer): Promise<{ readonly id: CompressionId; readonly bytes: Buffer }> {
    const chosen = algorithms[this.#id]
    if (chosen === undefined || bytes.byteLength < this.#minBytes) return { id: ids.none, bytes }
    const packed = await chosen.compress(bytes)
    return packed.byteLength <= bytes.byteLength * (1 - minSaving)
      ? { id: this.#id, bytes: packed }
      : { id: ids.none, bytes }
  }

  /**
   * `undefined` for a body that is damaged, uses an algorithm that this Node does not have, or exceeds `maxBytes`: a
   * few hundred bytes may decompress to gigabytes.
   */
  async decompress(id: CompressionId, bytes: Buffer, maxBytes: number): Promise<Buffer | undefined> {
    try {
      return await algorithms[id]?.decompress(bytes, maxBytes)
    } catch {
      return undefined
    }
  }
}
