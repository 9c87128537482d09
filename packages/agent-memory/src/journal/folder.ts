import { constants as bufferConstants } from 'node:buffer'
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { InvalidOptionError } from '@evenkeel/core'
import { isError } from '@evenkeel/core/kit'
import { type Decoded, LineDecoder } from './codec.js'

const fileName = /^([0-9a-f]{12})-(\d{1,10})-(\d{1,20})-[0-9a-f-]{36}\.journal$/

/** Files of others that need no warning: a disk's own, and hidden ones. */
const isQuiet = (name: string) => name === 'lost+found' || name.startsWith('.')

/** Bytes of one read of a file. */
const chunkBytes = 1 << 20

/** Maximum number of skipped files that one warning names. */
const maxNames = 5

/** What the name of a journal's file says. */
export interface FileIdentity {
  readonly host: string
  readonly pid: number
  readonly began: string
}

/** A journal's file of this user, open for reading. */
export interface OpenFile {
  readonly name: string
  readonly touchedAt: number
  /** Reads the content. @throws errors of the file system */
  read(): Decoded
  close(): void
}

/**
 * A folder of journals. Its content becomes messages of users, and contains their messages. So it is used only if it
 * belongs to the user that the process runs as, and nobody else may write to it; the same applies to
 * each file. Other files are skipped, and named once in a warning.
 */
export class JournalFolder {
  readonly path: string
  /** Warns the application. */
  readonly tell: (message: string) => void
  readonly #maxFileBytes: number
  readonly #warned = new Set<string>()

  /**
   * Creates the folder if it is missing, with mode 0700.
   * @throws InvalidOptionError if it can't be created, or is not this user's alone
   */
  constructor(path: string, maxFileBytes: number, tell: (message: string) => void) {
    this.path = path
    this.tell = tell
    this.#maxFileBytes = maxFileBytes
    this.make()
    this.#warnOfParent()
    this.#warnOfOthers()
  }

  /**
   * Creates the folder if it is missing, and checks its owner and mode.
   * @throws InvalidOptionError if it can't be created, or is not this user's alone
   */
  make(): void {
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 })
      checkOwn(this.path)
    } catch (error) {
      if (error instanceof InvalidOptionError) throw error
      throw unusable(this.path, error)
    }
  }

  /** The names of files that may be journals, with what these names say. */
  files(): readonly { readonly name: string; readonly of: FileIdentity }[] {
    return this.#names().flatMap((name) => {
      const [, host, pid, began] = fileName.exec(name) ?? []
      if (host === undefined || pid === undefined || began === undefined) return []
      return [{ name, of: { host, pid: Number(pid), began } }]
    })
  }

  /** `undefined` for a file that is gone, or is no journal of this user; a warning names the latter. */
  open(name: string): OpenFile | undefined {
    let fd: number | undefined
    try {
      // Without O_NONBLOCK, opening a pipe would block the process for ever.
      const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
      fd = openSync(join(this.path, name), flags)
      const stats = fstatSync(fd)
      const oddity = oddityOf(stats, this.#maxFileBytes)
      if (oddity !== undefined) {
        closeSync(fd)
        this.warn(name, oddity)
        return undefined
      }
      const own = fd
      return {
        name,
        touchedAt: stats.mtimeMs,
        read: () => readAll(own, this.#maxFileBytes),
        close: () => closeSync(own),
      }
    } catch (error) {
      if (!isMissing(error)) this.warn(name, `it can not be read: ${reasonOf(error)}`)
      return undefined
    }
  }

  /** Warns once for each file that is skipped, with the reason. */
  warn(name: string, reason: string): void {
    if (this.#warned.has(name)) return
    this.#warned.add(name)
    this.tell(`The file ${join(this.path, name)} is passed over: ${reason}`)
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.path)
    } catch {
      return []
    }
  }

  #warnOfOthers(): void {
    const others = this.#names().filter((name) => !fileName.test(name) && !isQuiet(name))
    if (others.length === 0) return
    const more = others.length > maxNames ? ` and ${others.length - maxNames} more` : ''
    const names = others.slice(0, maxNames).map((name) => JSON.stringify(name.slice(0, 100)))
    this.tell(
      `The journal’s folder ${this.path} holds what is no journal, and is passed over: ${names.join(', ')}${more}`,
    )
  }

  /** Warns if everybody may write to the parent folder, since anybody could then replace this folder. */
  #warnOfParent(): void {
    const parent = dirname(resolve(this.path))
    const { mode } = statSync(parent)
    if (process.geteuid === undefined || (mode & 0o002) === 0 || (mode & 0o1000) !== 0) return
    this.tell(
      `Everybody may write to ${parent}, and so move the journal’s folder away: take that right from others, or set the sticky bit`,
    )
  }
}

/** @throws InvalidOptionError for a folder that is a link, another user's, or writable by others */
function checkOwn(path: string): void {
  const stats = lstatSync(path)
  if (stats.isSymbolicLink()) throw refused(path, 'a folder itself, and no symbolic link to one')
  if (!stats.isDirectory()) throw refused(path, 'a folder')
  const own = process.geteuid?.()
  if (own === undefined) return
  if (stats.uid !== own) {
    throw refused(path, `a folder of the user that the process runs as (${own}; it is ${stats.uid}’s)`)
  }
  if ((stats.mode & 0o022) !== 0) {
    const mode = (stats.mode & 0o777).toString(8)
    throw refused(path, `a folder that nobody else may write to (its mode is ${mode}; chmod go-w)`)
  }
}

/** The reason, if any, why a file is no journal of this user. */
function oddityOf(stats: Stats, maxBytes: number): string | undefined {
  if (!stats.isFile()) return 'it is no regular file'
  const own = process.geteuid?.()
  if (own !== undefined && stats.uid !== own) return `it belongs to the user ${stats.uid}, not to ${own}`
  if (own !== undefined && (stats.mode & 0o022) !== 0) return 'others may write to it'
  if (stats.size > maxBytes) return `it has ${stats.size} bytes, and a journal at most ${maxBytes}`
  return undefined
}

/** Reads line by line, so that no size of a file needs as much memory. */
function readAll(fd: number, maxBytes: number): Decoded {
  const lines = new LineSplitter()
  const chunk = Buffer.allocUnsafe(chunkBytes)
  for (let position = 0; position < maxBytes; ) {
    const length = readSync(fd, chunk, 0, chunk.length, position)
    if (length === 0) break
    position += length
    lines.take(chunk.subarray(0, length))
  }
  return lines.end()
}

/** Puts lines together from the pieces that a file is read in. */
class LineSplitter {
  readonly #decoder = new LineDecoder()
  #parts: Buffer[] = []
  #length = 0

  take(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, end))
      this.#finish()
      from = end + 1
    }
    this.#keep(Buffer.from(chunk.subarray(from)))
  }

  end(): Decoded {
    this.#finish()
    return this.#decoder.end()
  }

  #keep(part: Buffer): void {
    this.#length += part.length
    // No entry is this long: the parts up to the next line are dropped.
    if (this.#length > bufferConstants.MAX_STRING_LENGTH) this.#parts = []
    else if (part.length > 0) this.#parts.push(part)
  }

  #finish(): void {
    if (this.#length > bufferConstants.MAX_STRING_LENGTH) this.#decoder.spoil()
    else this.#decoder.take(Buffer.concat(this.#parts).toString())
    this.#parts = []
    this.#length = 0
  }
}

function refused(path: string, expected: string): InvalidOptionError {
  return new InvalidOptionError('journal.dir', expected, path)
}

function unusable(path: string, error: unknown): InvalidOptionError {
  return refused(path, `a folder that can be written to (${reasonOf(error)})`)
}

export function reasonOf(error: unknown): string {
  return isError(error) ? error.message : String(error)
}

export function isMissing(error: unknown): boolean {
  return isError(error) && 'code' in error && error.code === 'ENOENT'
}
