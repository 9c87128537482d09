import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { ForeignFileError } from './format.js'

/** The largest pool that there may be takes less. */
const maxBytes = 256 << 20
const pieceBytes = 1 << 20

/**
 * A file whole. A pipe would make the reader wait for ever, a device would never end, and neither is a pool's; nor is
 * what is larger than any pool, or grows to that while it is read.
 * @throws ForeignFileError
 */
export async function readWhole(path: string): Promise<Buffer> {
  // Without waiting for a writer, if by now it is a pipe.
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new ForeignFileError(path, 'it is a folder, a pipe or a device, and no file')
    if (stats.size > maxBytes) throw tooLarge(path)
    const pieces: Buffer[] = []
    for (let length = 0; ; ) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(pieceBytes), 0, pieceBytes)
      if (bytesRead === 0) return Buffer.concat(pieces, length)
      length += bytesRead
      if (length > maxBytes) throw tooLarge(path)
      pieces.push(buffer.subarray(0, bytesRead))
    }
  } finally {
    await handle.close()
  }
}

function tooLarge(path: string): ForeignFileError {
  return new ForeignFileError(path, `it has more than ${maxBytes >> 20} MiB, which no pool has`)
}
