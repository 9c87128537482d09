import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { InvalidOptionError } from '@evenkeel/core'
import { JournalFailedError } from '../errors.js'
import type { ThreadId } from '../stores/thread-id.js'
import { encodeLine } from './codec.js'
import type { JournalEntry, ThreadWrite, Write } from './entry.js'
import { isMissing, JournalFolder, reasonOf } from './folder.js'
import type { JournalKeeper } from './journal.js'
import { LeftFiles, type ObsoleteFile } from './left-files.js'
import { ownIdentity, type ProcessIdentity } from './process-identity.js'

/** How often a file is touched while its process lives. */
const heartbeatMs = 10_000

/** A larger file that consists mostly of entries that are done is rewritten. */
const slackBytes = 4 << 20

/** A larger file is not one of ours: ours are rewritten long before, if all processes have the same bounds. */
const maxFileBytes = 1 << 30

/** An entry that waits, and its bytes in the file. */
interface Open {
  readonly id: ThreadId
  readonly entry: JournalEntry
  readonly bytes: number
}

/**
 * The journal on disk: one file per process, of lines with a checksum, mode 0600. Entries are written in the turn of
 * the event loop in which they are taken, and synced together before they are acknowledged. When nothing waits, the
 * file is emptied.
 */
export class JournalFile implements JournalKeeper {
  readonly #dir: string
  readonly #identity: ProcessIdentity
  readonly #folder: JournalFolder
  readonly #left: LeftFiles
  readonly #open = new Map<number, Open>()
  /** Files that are removed when a sync has put their entries on disk in this file. */
  readonly #obsolete = new Set<ObsoleteFile>()
  readonly #heartbeat: NodeJS.Timeout
  #path: string
  #fd: number
  #size = 0
  #openBytes = 0
  #next = 1
  #syncing: Promise<void> | undefined
  #afterwards: Promise<void> | undefined
  #isSynced = true

  /**
   * @param warn tells the application what is wrong with the folder or a file in it
   * @param maxBytes maximum size of the entries that wait
   * @throws InvalidOptionError if the folder can't be created or written to, or is not this user's alone
   */
  constructor(dir: string, warn: (message: string) => void, maxBytes = 0) {
    this.#dir = dir
    this.#folder = new JournalFolder(dir, Math.max(maxFileBytes, 16 * maxBytes), warn)
    this.#identity = ownIdentity()
    this.#path = this.#newPath()
    try {
      this.#fd = openSync(this.#path, 'ax', 0o600)
    } catch (error) {
      throw new InvalidOptionError('journal.dir', `a folder that can be written to (${reasonOf(error)})`, dir)
    }
    this.#left = new LeftFiles(this.#folder, this.#identity, {
      path: () => this.#path,
      newPath: () => this.#newPath(),
      replaces: (file) => this.#replaces(file),
    })
    this.#heartbeat = setInterval(() => {
      this.#touch()
      this.#left.takeOver(false)
    }, heartbeatMs)
    this.#heartbeat.unref()
  }

  /** See {@link LeftFiles.start}. */
  start(adopt: (left: ThreadWrite) => void, done: () => void): void {
    this.#left.start(adopt, done)
  }

  /** See {@link LeftFiles.others}. */
  others(): readonly ThreadWrite[] {
    return this.#left.others()
  }

  write(id: ThreadId, entry: JournalEntry): void {
    const number = this.#next++
    const bytes = this.#append(encodeLine({ number, entry: { id, write: writeOf(entry) } }))
    entry.number = number
    this.#open.set(number, { id, entry, bytes })
    this.#openBytes += bytes
  }

  acknowledge(entry: JournalEntry): void {
    const known = this.#open.get(entry.number)
    if (known === undefined) return
    this.#open.delete(entry.number)
    this.#openBytes -= known.bytes
    try {
      if (this.#open.size === 0) this.#empty()
      else {
        this.#append(encodeLine({ done: entry.number }))
        if (this.#size > slackBytes && this.#size > 4 * this.#openBytes) this.#rewrite()
      }
    } catch {
      // The entry is in Redis; that the file does not say so only costs a replay, which finds it there.
    }
  }

  /** Entries that are taken while a sync is under way share the next one. */
  synced(): Promise<void> {
    if (this.#isSynced) return this.#syncing ?? Promise.resolve()
    if (this.#syncing === undefined) return this.#beginSync()
    this.#afterwards ??= this.#syncing
      .catch(() => {})
      .then(() => {
        this.#afterwards = undefined
        return this.#beginSync()
      })
    return this.#afterwards
  }

  /** A file with waiting entries is left to the next process at once. */
  close(isEmpty: boolean): void {
    clearInterval(this.#heartbeat)
    try {
      try {
        if (!isEmpty) fsyncSync(this.#fd)
      } finally {
        closeSync(this.#fd)
      }
      if (isEmpty) unlinkSync(this.#path)
      else renameSync(this.#path, join(this.#dir, this.#nameFor({ ...this.#identity, began: '1' })))
      for (const file of this.#obsolete) this.#discard(file)
    } catch {
      // Another process may find the file, and those that it was to replace.
      for (const file of this.#obsolete) file.close()
    }
    this.#obsolete.clear()
  }

  #beginSync(): Promise<void> {
    this.#syncing = this.#sync().finally(() => {
      this.#syncing = undefined
    })
    return this.#syncing
  }

  async #sync(): Promise<void> {
    this.#isSynced = true
    const obsolete = [...this.#obsolete]
    try {
      if (this.#isRemoved()) this.#restoreFile()
      await dataSynced(this.#fd)
    } catch (error) {
      this.#isSynced = false
      throw new JournalFailedError(this.#path, error)
    }
    for (const file of obsolete) if (this.#obsolete.delete(file)) this.#discard(file)
  }

  #replaces(file: ObsoleteFile): void {
    this.#obsolete.add(file)
    this.#isSynced = false
    this.synced().catch(() => {})
  }

  /** Closes the file even if it can't be removed: it is then taken over again, which finds its entries done. */
  #discard(file: ObsoleteFile): void {
    try {
      unlinkSync(file.path)
    } catch (error) {
      if (!isMissing(error))
        this.#folder.warn(basename(file.path), `it can not be removed: ${reasonOf(error)}`)
    } finally {
      file.close()
    }
  }

  /** Whether somebody removed the file or its folder: writes to it would be lost with the process. */
  #isRemoved(): boolean {
    return fstatSync(this.#fd).nlink === 0
  }

  /** Writes the waiting entries to a new file, and creates the folder again if it is missing. */
  #restoreFile(): void {
    this.#folder.make()
    closeSync(this.#writeAnew().fd)
    this.#folder.tell(`The journal’s file was removed; what waits has been written to ${this.#path}`)
  }

  #append(line: string): number {
    try {
      const bytes = writeWhole(this.#fd, line)
      this.#size += bytes
      this.#isSynced = false
      return bytes
    } catch (error) {
      this.#truncate(this.#size)
      throw new JournalFailedError(this.#path, error)
    }
  }

  #truncate(size: number): void {
    try {
      ftruncateSync(this.#fd, size)
    } catch {
      // A torn line stays, which readers skip.
    }
  }

  #empty(): void {
    ftruncateSync(this.#fd, 0)
    this.#size = 0
  }

  /** Writes only the waiting entries to a new file, which replaces the old one when it is on disk. */
  #rewrite(): void {
    const { path, fd } = this.#writeAnew()
    this.#replaces({ path, close: () => closeSync(fd) })
  }

  /**
   * Continues in a new file, which begins with the waiting entries; or in the former one, unchanged, if that fails.
   * @returns the former file, which is still open
   */
  #writeAnew(): { readonly path: string; readonly fd: number } {
    const former = { path: this.#path, fd: this.#fd }
    const path = this.#newPath()
    const fd = openSync(path, 'ax', 0o600)
    let size = 0
    try {
      for (const [number, { id, entry }] of this.#open) {
        size += writeWhole(fd, encodeLine({ number, entry: { id, write: writeOf(entry) } }))
      }
    } catch (error) {
      this.#discard({ path, close: () => closeSync(fd) })
      throw error
    }
    this.#path = path
    this.#fd = fd
    this.#size = size
    return former
  }

  #touch(): void {
    const now = new Date()
    try {
      utimesSync(this.#path, now, now)
    } catch {
      // The folder may be missing at the moment; the next write reports it.
    }
  }

  #newPath(): string {
    return join(this.#dir, this.#nameFor(this.#identity))
  }

  #nameFor({ host, pid, began }: ProcessIdentity): string {
    return `${host}-${pid}-${began}-${randomUUID()}.journal`
  }
}

/** @returns how many bytes were written */
function writeWhole(fd: number, text: string): number {
  const bytes = Buffer.from(text)
  let rest = bytes
  while (rest.length > 0) rest = rest.subarray(writeSync(fd, rest))
  return bytes.length
}

function dataSynced(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error ? reject(error) : resolve()))
  })
}

function writeOf(entry: JournalEntry): Write {
  const { generation } = entry
  switch (entry.kind) {
    case 'append':
      return { kind: 'append', batch: entry.batch, token: entry.token, digest: entry.digest, generation }
    case 'delete':
      return { kind: 'delete', token: entry.token, generation }
    case 'change':
      return { kind: 'change', change: entry.change, generation }
  }
}
