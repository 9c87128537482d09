import type { Io } from './io.js'
import { NewFile } from './new-file.js'

/** Progress is shown once for this many lines. */
const linesAStep = 500

/** The destination of a command's lines: a new file, or standard output at the pace of its reader. Shows progress. */
export class LineOutput {
  readonly #io: Io
  readonly #file: NewFile | undefined
  #lines = 0

  private constructor(io: Io, file: NewFile | undefined) {
    this.#io = io
    this.#file = file
  }

  /**
   * @param path of a new file, created with mode 0600; `undefined` for standard output
   * @throws CommandError if a file of this name exists, or none can be created
   */
  static async open(io: Io, path: string | undefined): Promise<LineOutput> {
    return new LineOutput(io, path === undefined ? undefined : await NewFile.create(path, 0o600))
  }

  async write(line: string): Promise<void> {
    if (this.#file === undefined) {
      this.#io.out(line)
      await this.#io.drained()
    } else await this.#file.write(`${line}\n`)
    if (++this.#lines % linesAStep === 0) this.#io.progress(`${this.#lines} lines`)
  }

  /** The output is complete: a file now gets its name. */
  async keep(): Promise<void> {
    await this.#file?.keep()
  }

  /** Ends the progress line, and removes a file that was not kept. */
  async close(): Promise<void> {
    this.#io.progress(undefined)
    await this.#file?.discard()
  }
}
