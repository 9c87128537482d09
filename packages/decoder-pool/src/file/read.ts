import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { ForeignFileError } from './format.js'

/** More than the largest possible pool needs. */
const maxBytes = 256 << 20
const pieceBytes = 1 << 20

/**
 * Reads a whole file.
 * @throws ForeignFileError for a pipe, which would make the reader wait for ever, a device, which may never end, a
 * folder, and a file that is larger than any pool or becomes so while it is read
 */
export async function readWhole(path: string): Promise<Buffer> {
  // If it is a pipe by now, `open` must not wait for a writer.
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
