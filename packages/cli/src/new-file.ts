import { randomUUID } from 'node:crypto'
import { type FileHandle, link, lstat, open, rm } from 'node:fs/promises'
import { CommandError, exitCodes } from './exit-codes.js'

/** A file that gets its name only when it is complete, and never replaces an existing file. */
export class NewFile {
  readonly #path: string
  readonly #draft: string
  readonly #file: FileHandle
  #isOpen = true

  private constructor(path: string, draft: string, file: FileHandle) {
    this.#path = path
    this.#draft = draft
    this.#file = file
  }

  /** @throws CommandError if a file of this name exists, or none can be created */
  static async create(path: string, mode: number): Promise<NewFile> {
    const draft = `${path}.${randomUUID()}.partial`
    // Checked at once, and not after hours of work.
    await refuseExisting(path)
    const file = await open(draft, 'wx', mode).catch((error: Error) => {
      throw notWritten(path, error)
    })
    return new NewFile(path, draft, file)
  }

  async write(text: string): Promise<void> {
    await this.#file.write(text)
  }

  /** The file is complete. It gets its name by a link, which, unlike a rename, can't replace another file. */
  async keep(): Promise<void> {
    await this.#file.sync()
    await this.#close()
    try {
      await link(this.#draft, this.#path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw taken(this.#path)
      throw error
    }
  }

  /** Removes the unfinished file, but not one that was kept. */
  async discard(): Promise<void> {
    await this.#close()
    await rm(this.#draft, { force: true })
  }

  async #close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.#file.close()
  }
}

async function refuseExisting(path: string): Promise<void> {
  const existing = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw notWritten(path, error)
  })
  if (existing !== undefined) throw taken(path)
}

function notWritten(path: string, error: Error): CommandError {
  return new CommandError(exitCodes.usage, `${path} can't be written: ${error.message}`)
}

function taken(path: string): CommandError {
  return new CommandError(exitCodes.usage, `${path} is there already, and is left as it is`)
}
