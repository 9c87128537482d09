import { renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Decoded } from './codec.js'
import type { ThreadWrite } from './entry.js'
import { isMissing, type JournalFolder, type OpenFile, reasonOf } from './folder.js'
import { hasOpen, isAlive, type ProcessIdentity } from './process-identity.js'

/** Time without a write after which a file of another host, whose processes can't be asked, counts as left behind. */
const abandonedMs = 60_000

/** How often, at most, the files are read again because one was renamed meanwhile. */
const maxLooks = 5

/** What was taken from a file: the number of its entries, and the file that may be removed. */
interface Taken {
  readonly count: number
  readonly path?: string
}

/** A file whose entries are in this process's own file too. It stays open until removed, so others leave it alone. */
export interface ObsoleteFile {
  readonly path: string
  close(): void
}

/** The journal of this process, which takes over entries of others. */
export interface OwnFile {
  path(): string
  /** A new path with this process's identity. */
  newPath(): string
  /** Removes and closes another file when all entries of this one are on disk. */
  replaces(file: ObsoleteFile): void
}

/** The files in a folder of journals that other processes write, or have left behind. */
export class LeftFiles {
  readonly #folder: JournalFolder
  readonly #identity: ProcessIdentity
  readonly #own: OwnFile
  /** Number of adopted entries of files that were taken over in part, because the disk was full. */
  readonly #adopted = new Map<string, number>()
  #adopt: ((left: ThreadWrite) => void) | undefined
  #done: (() => void) | undefined

  constructor(folder: JournalFolder, identity: ProcessIdentity, own: OwnFile) {
    this.#folder = folder
    this.#identity = identity
    this.#own = own
  }

  /**
   * Looks for files of processes that are gone: now, and from time to time.
   * @param adopt takes one of their writes into this journal; it may throw
   * @param done called when something was taken
   */
  start(adopt: (left: ThreadWrite) => void, done: () => void): void {
    this.#adopt = adopt
    this.#done = done
    this.takeOver(true)
  }

  /** Takes over the files of processes that are gone. No content of the folder makes it throw. */
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

  /** Renames the file first, so that only one process takes it. */
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
      // The file stays for the next look, which skips the entries that were adopted already.
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

  /** The writes that wait in files of other processes of this host. */
  others(looks = 1): readonly ThreadWrite[] {
    const names = this.#namesOfOthers()
    const read = names.map((name) => this.#read(name))
    // The entries of a file that was taken over meanwhile are in another file now.
    const left = this.#namesOfOthers()
    const isGone = names.some((name, index) => read[index] === undefined && !left.includes(name))
    if (isGone && looks < maxLooks) return this.others(looks + 1)
    return read.flatMap((entries = []) => entries)
  }

  /** Whether the process or worker that wrote a file is gone, as far as this host can know. */
  #mayBeLeft(name: string, { host, pid, began }: ProcessIdentity, atStart: boolean): boolean {
    const path = join(this.#folder.path, name)
    if (path === this.#own.path()) return false
    if (host !== this.#identity.host || !isAlive({ host, pid, began })) return true
    // A worker's files are closed when it ends, while its process lives on.
    return (atStart || !isTouched(path)) && hasOpen(pid, name) === false
  }

  /**
   * A process that starts takes what is left on its host at once: it may be its own from before a crash, and its new
   * writes come after those. A process that runs already waits, so that the writer may come back.
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
