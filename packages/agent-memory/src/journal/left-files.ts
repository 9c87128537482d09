import { renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Decoded } from './codec.js'
import type { ThreadWrite } from './entry.js'
import { isMissing, type JournalFolder, type OpenFile, reasonOf } from './folder.js'
import { hasOpen, isAlive, type ProcessIdentity } from './process-identity.js'

/** Time without a write after which a file of another host, whose processes can't be asked, counts as left behind. */
const abandonedMs = 60_000

/** Files that are looked at again when one was renamed meanwhile: so often at most. */
const maxLooks = 5

/** What was taken from a file: its entries, and the path of the file that may be removed. */
interface Taken {
  readonly count: number
  readonly path?: string
}

/** A file whose entries are in this process's own file too. It is held open until it is removed, which tells others that somebody has it. */
export interface ObsoleteFile {
  readonly path: string
  close(): void
}

/** The journal of this process, into which others' are taken. */
export interface OwnFile {
  path(): string
  /** A name of this process that no file has yet. */
  newPath(): string
  /** Removes and closes another file when all that was written is on disk. */
  replaces(file: ObsoleteFile): void
}

/** Files of a folder of journals that other processes write, or have left behind. */
export class LeftFiles {
  readonly #folder: JournalFolder
  readonly #identity: ProcessIdentity
  readonly #own: OwnFile
  /** Of files that were taken over in part, because the disk was full: how many of their entries. */
  readonly #adopted = new Map<string, number>()
  #adopt: ((left: ThreadWrite) => void) | undefined
  #done: (() => void) | undefined

  constructor(folder: JournalFolder, identity: ProcessIdentity, own: OwnFile) {
    this.#folder = folder
    this.#identity = identity
    this.#own = own
  }

  /**
   * Looks for what processes that are gone have left behind: now, and from time to time.
   * @param adopt takes one write of theirs into this journal; it may throw
   * @param done is called when something was taken
   */
  start(adopt: (left: ThreadWrite) => void, done: () => void): void {
    this.#adopt = adopt
    this.#done = done
    this.takeOver(true)
  }

  /** Takes over the files of processes that are gone. Nothing that is in the folder makes it throw. */
  takeOver(atStart: boolean): void {
    if (this.#adopt === undefined) return
    let isAny = false
    for (const { name, of } of this.#folder.files()) {
      if (!this.#mayBeLeft(name, of, atStart)) continue
      const file = this.#folder.open(name)
      if (file === undefined) continue
      let isKept = false
      try {
        if (this.#isLeft(file, of, atStart)) {
          const taken = this.#take(file, this.#adopt)
          isAny ||= taken.count > 0
          isKept = taken.path !== undefined
          if (taken.path !== undefined) this.#own.replaces({ path: taken.path, close: () => file.close() })
        }
      } catch (error) {
        this.#folder.warn(name, reasonOf(error))
      } finally {
        if (!isKept) file.close()
      }
    }
    if (isAny) this.#done?.()
  }

  /** It is renamed first, so that only one process takes it. */
  #take(file: OpenFile, adopt: (left: ThreadWrite) => void): Taken {
    const [before, taken] = [join(this.#folder.path, file.name), this.#own.newPath()]
    try {
      renameSync(before, taken)
    } catch (error) {
      if (isMissing(error)) return { count: 0 } // Another process was faster.
      throw error
    }
    let decoded: Decoded
    let count = this.#adopted.get(file.name) ?? 0
    const first = count
    try {
      decoded = file.read()
      for (const entry of decoded.entries.slice(first)) {
        adopt(entry)
        count++
      }
    } catch (error) {
      // Left where it was, for the next look: what is here already is in its place when it is taken again.
      if (!this.#adopted.has(file.name)) {
        this.#folder.tell(
          `The file ${before} could not be taken over as a whole, and is tried again: ${reasonOf(error)}`,
        )
      }
      this.#adopted.set(file.name, count)
      renameSync(taken, before)
      return { count: count - first }
    }
    this.#adopted.delete(file.name)
    if (decoded.spoilt > 0) {
      this.#folder.tell(
        `${decoded.spoilt} lines of the journal’s file ${before} are not whole, and are passed over`,
      )
    }
    return { count: count - first, path: taken }
  }

  /** What waits in the files of other processes of this host. */
  others(looks = 1): readonly ThreadWrite[] {
    const names = this.#namesOfOthers()
    const read = names.map((name) => this.#read(name))
    // One that was taken over between the two looks is in another by now.
    const left = this.#namesOfOthers()
    const isGone = names.some((name, index) => read[index] === undefined && !left.includes(name))
    if (isGone && looks < maxLooks) return this.others(looks + 1)
    return read.flatMap((entries = []) => entries)
  }

  /** Whether the process or the worker that a file is of is gone, as far as this host can know. */
  #mayBeLeft(name: string, { host, pid, began }: ProcessIdentity, atStart: boolean): boolean {
    const path = join(this.#folder.path, name)
    if (path === this.#own.path()) return false
    if (host !== this.#identity.host || !isAlive({ host, pid, began })) return true
    // Files are closed with a worker that ends, while its process lives on.
    return (atStart || !isTouched(path)) && hasOpen(pid, name) === false
  }

  /**
   * A process that begins takes what is left on its host: it may be itself, before a crash, and its new writes come
   * behind those. One that has run for long leaves it some time to come back.
   */
  #isLeft({ touchedAt }: OpenFile, { host }: ProcessIdentity, atStart: boolean): boolean {
    return (atStart && host === this.#identity.host) || !isLately(touchedAt)
  }

  #namesOfOthers(): readonly string[] {
    return this.#folder
      .files()
      .filter(
        ({ name, of }) =>
          of.host === this.#identity.host && join(this.#folder.path, name) !== this.#own.path(),
      )
      .map(({ name }) => name)
  }

  #read(name: string): readonly ThreadWrite[] | undefined {
    const file = this.#folder.open(name)
    try {
      return file?.read().entries
    } catch {
      return undefined
    } finally {
      file?.close()
    }
  }
}

function isTouched(path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats !== undefined && isLately(stats.mtimeMs)
}

function isLately(touchedAt: number): boolean {
  return Date.now() - touchedAt <= abandonedMs
}
