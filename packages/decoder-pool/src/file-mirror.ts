import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MirrorDamagedError } from './errors.js'
import { checkNode, type DecoderNode } from './node.js'

interface Mirror {
  readonly format: 1
  readonly pool: string
  readonly writtenAt: string
  readonly nodes: readonly DecoderNode[]
  /** SHA-256 of the nodes as written; absent in a file that was made by hand. */
  readonly sha256?: string
}

export interface Loaded {
  readonly nodes: readonly DecoderNode[]
  /** What was wrong with the file, when its last good copy was used instead, or none was to be had. */
  readonly damage: MirrorDamagedError | undefined
}

/**
 * The pool as a JSON file. Written whole: a temporary file, fsync, the good one kept as `.1`, rename; so
 * that at every moment a whole file is there. One write at a time, and only the newest waits.
 */
export class FileMirror {
  readonly #file: string
  readonly #pool: string
  #writing: Promise<void> | undefined
  #next: readonly DecoderNode[] | undefined
  #written: string | undefined

  constructor(file: string, pool: string) {
    this.#file = file
    this.#pool = pool
  }

  /** A file that is not there is an empty pool; a damaged one is told of, and its last good copy used. */
  async load(): Promise<Loaded> {
    try {
      return { nodes: await this.#read(this.#file), damage: undefined }
    } catch (error) {
      if (isMissing(error)) return { nodes: [], damage: undefined }
      const damage =
        error instanceof MirrorDamagedError
          ? error
          : new MirrorDamagedError(this.#file, String(error), { cause: error })
      const nodes = await this.#read(`${this.#file}.1`).catch(() => [])
      return { nodes, damage }
    }
  }

  /** Resolves when these nodes, or newer ones, are in the file. */
  async write(nodes: readonly DecoderNode[]): Promise<void> {
    this.#next = nodes
    while (this.#next !== undefined || this.#writing !== undefined) {
      this.#writing ??= this.#writeNext().finally(() => {
        this.#writing = undefined
      })
      await this.#writing
    }
  }

  async #writeNext(): Promise<void> {
    const nodes = this.#next ?? []
    this.#next = undefined
    const sha256 = digest(nodes)
    if (sha256 === this.#written) return
    const mirror: Mirror = { format: 1, pool: this.#pool, writtenAt: new Date().toISOString(), nodes, sha256 }
    await mkdir(dirname(this.#file), { recursive: true })
    const temporary = `${this.#file}.${process.pid}.tmp`
    const handle = await open(temporary, 'w', 0o600)
    try {
      await handle.writeFile(`${JSON.stringify(mirror, null, 2)}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    // Only a file that reads well is worth keeping.
    const isGood = await this.#read(this.#file).then(
      () => true,
      () => false,
    )
    if (isGood) await copyFile(this.#file, `${this.#file}.1`, constants.COPYFILE_FICLONE)
    await rename(temporary, this.#file)
    this.#written = sha256
  }

  async #read(file: string): Promise<readonly DecoderNode[]> {
    const text = await readFile(file, 'utf8')
    let content: unknown
    try {
      content = JSON.parse(text)
    } catch (error) {
      throw new MirrorDamagedError(file, `no JSON: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      })
    }
    const { nodes, sha256 } = (content ?? {}) as Partial<Mirror>
    if (!Array.isArray(nodes)) throw new MirrorDamagedError(file, "there is no list 'nodes'")
    if (sha256 !== undefined && sha256 !== digest(nodes)) {
      throw new MirrorDamagedError(
        file,
        'the checksum is not that of the nodes; remove "sha256" after an edit by hand',
      )
    }
    return nodes.map((node, index) => {
      try {
        return checkNode(fromSeedNames(node))
      } catch (error) {
        throw new MirrorDamagedError(
          file,
          `nodes[${index}]: ${error instanceof Error ? error.message : error}`,
          { cause: error },
        )
      }
    })
  }
}

/** Files also come with names in snake case. */
function fromSeedNames(node: unknown): DecoderNode {
  const { node_id, gpu_type, hot_adapters, ...rest } = (node ?? {}) as Record<string, unknown>
  return {
    ...definedOnly({ id: node_id, gpuType: gpu_type, adapters: hot_adapters }),
    ...rest,
  } as unknown as DecoderNode
}

function definedOnly(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

function digest(nodes: readonly DecoderNode[]): string {
  return createHash('sha256').update(JSON.stringify(nodes)).digest('hex')
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
