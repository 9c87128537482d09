import { constants } from 'node:fs'
import { copyFile, mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MirrorDamagedError } from './errors.js'
import { digestOf, encodeMirror, readMirror } from './mirror-format.js'
import type { Changes } from './store.js'

export interface Loaded {
  readonly content: Changes
  /** What was wrong with the file, when its last good copy was used instead, or none was to be had. */
  readonly damage: MirrorDamagedError | undefined
}

const nothing: Changes = { registrations: [], removed: new Map() }

/** Tells the temporary files of one process apart. */
let files = 0

/**
 * The pool as a JSON file. Written whole: a temporary file, fsync, the good one kept as `.1`, rename; so
 * that at every moment a whole file is there. One write at a time, and only the newest waits.
 */
export class FileMirror {
  readonly #file: string
  readonly #pool: string
  readonly #temporary: string
  #writing: Promise<void> | undefined
  #next: Changes | undefined
  #written: string | undefined

  constructor(file: string, pool: string) {
    this.#file = file
    this.#pool = pool
    this.#temporary = `${file}.${process.pid}-${files++}.tmp`
  }

  /** A file that is not there is an empty pool; a damaged one is told of, and its last good copy used. */
  async load(): Promise<Loaded> {
    try {
      const content = await readMirror(this.#file, this.#pool)
      this.#written = digestOf(content)
      return { content, damage: undefined }
    } catch (error) {
      if (isMissing(error)) return { content: nothing, damage: undefined }
      const damage =
        error instanceof MirrorDamagedError
          ? error
          : new MirrorDamagedError(this.#file, String(error), { cause: error })
      return { content: await readMirror(`${this.#file}.1`, this.#pool).catch(() => nothing), damage }
    }
  }

  /**
   * Resolves when this, or something newer, is in the file. A pool that is empty, and not because its nodes
   * were removed, is not written: it rather means that nothing could be read.
   */
  async write(content: Changes): Promise<void> {
    if (content.registrations.length === 0 && content.removed.size === 0) return
    this.#next = content
    while (this.#next !== undefined || this.#writing !== undefined) {
      this.#writing ??= this.#writeNext().finally(() => {
        this.#writing = undefined
      })
      await this.#writing
    }
  }

  async #writeNext(): Promise<void> {
    const content = this.#next ?? nothing
    this.#next = undefined
    const digest = digestOf(content)
    if (digest === this.#written) return
    await mkdir(dirname(this.#file), { recursive: true })
    await writeDurably(this.#temporary, encodeMirror(this.#pool, content))
    await this.#keepFormer()
    await rename(this.#temporary, this.#file)
    await syncFolder(dirname(this.#file))
    this.#written = digest
  }

  /** A file that reads well becomes the last good one; a damaged one is put aside, for whoever can mend it. */
  async #keepFormer(): Promise<void> {
    try {
      await readMirror(this.#file, this.#pool)
    } catch (error) {
      if (!isMissing(error)) await rename(this.#file, `${this.#file}.damaged`)
      return
    }
    await copyFile(this.#file, `${this.#file}.1`, constants.COPYFILE_FICLONE)
  }
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await open(file, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** So that the rename is on the disk too. Some systems can't open a folder; there it comes a little later. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  await handle?.sync().catch(() => {})
  await handle?.close()
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
