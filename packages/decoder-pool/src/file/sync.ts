import { createLog, isError } from '@evenkeel/core/kit'
import { MirrorDamagedError } from '../errors.js'
import type { ExperimentBook } from '../experiments/experiments.js'
import type { NodeInput } from '../nodes/node.js'
import type { Registry } from '../registry/registry.js'
import type { FileContent } from './content.js'
import type { Edit } from './edit.js'
import { type FileOwner, PoolFile } from './file.js'

const log = createLog('decoder-pool')

export interface FileSyncHost {
  readonly registry: Registry
  readonly experiments: ExperimentBook
  /** Registers a node as if a caller of the pool did. */
  register(node: NodeInput): Promise<unknown>
  warn(error: MirrorDamagedError): void
}

/** Keeps the file and the pool in sync, in both directions. */
export class FileSync implements FileOwner {
  readonly #path: string
  readonly #file: PoolFile
  readonly #host: FileSyncHost
  #timer: NodeJS.Timeout | undefined
  /** Code of the last failure; `''` after a success. */
  #lastFailure = ''
  #extra: FileContent['extra']

  constructor(path: string, pool: string, host: FileSyncHost) {
    this.#path = path
    this.#file = new PoolFile(path, pool, this)
    this.#host = host
  }

  /** What an earlier process knew, and what is wrong with its file. */
  load(): Promise<{ content: FileContent; damage: MirrorDamagedError | undefined }> {
    return this.#file.load()
  }

  /** Checks the file every `intervalMs`, since network disks and mounted config maps may not report changes. */
  watch(intervalMs: number): void {
    this.#timer = setInterval(() => this.#try(() => this.#file.check()), intervalMs)
    this.#timer.unref()
  }

  /** Writes the pool after a change. Never rejects: a file that can't be written must not stop a caller. */
  save(): Promise<void> {
    return this.#try(() => this.#file.write())
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.save()
  }

  known(): FileContent {
    const { registrations, removed } = this.#host.registry.known()
    return { registrations, removed, experiments: this.#host.experiments.records(), extra: this.#extra }
  }

  /** Keeps the members of the file that this release does not know. */
  keep(extra: FileContent['extra']): void {
    this.#extra = extra
  }

  async learn(content: FileContent): Promise<void> {
    log('another process wrote %s', this.#path)
    await this.#host.registry.learn(content)
    await this.#host.experiments.learn(content.experiments)
  }

  /** Removals come first: until then, an endpoint that got another id is still the same node. */
  async edited(edit: Edit): Promise<void> {
    log('%s was edited by hand', this.#path)
    const { registry, experiments, register } = this.#host
    await registry.together(async () => {
      for (const id of edit.removeNodes) await registry.remove(id)
      for (const node of edit.putNodes) await this.#or(node.id, register(node))
    })
    for (const id of edit.removeExperiments) await experiments.remove(id)
    for (const experiment of edit.putExperiments) await this.#or(experiment.id, experiments.put(experiment))
  }

  warn(error: MirrorDamagedError): void {
    this.#host.warn(error)
  }

  /** Reports a change that the pool refuses, such as an experiment that overlaps; the rest of the edit is applied. */
  async #or(id: string, change: Promise<unknown>): Promise<void> {
    await change.catch((error: unknown) => {
      const reason = isError(error) ? error.message : String(error)
      this.warn(new MirrorDamagedError(this.#path, `${id} was not taken: ${reason}`, { cause: error }))
    })
  }

  async #try(task: () => Promise<void>): Promise<void> {
    await task().then(
      () => {
        this.#lastFailure = ''
      },
      (error: unknown) => {
        // A read-only disk stays read-only: that is reported once, not with each check.
        const code = isError(error) && 'code' in error ? String(error.code) : String(error)
        if (code === this.#lastFailure) return
        this.#lastFailure = code
        this.warn(new MirrorDamagedError(this.#path, `could not be written: ${error}`, { cause: error }))
      },
    )
  }
}
