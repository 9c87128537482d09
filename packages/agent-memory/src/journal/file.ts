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
import { join } from 'node:path'
import { InvalidOptionError } from '@evenkeel/core'
import { JournalFailedError } from '../errors.js'
import type { ThreadId } from '../stores/thread-id.js'
import { encodeLine } from './codec.js'
import type { JournalEntry, ThreadWrite, Write } from './entry.js'
import { JournalFolder, reasonOf } from './folder.js'
import type { JournalKeeper } from './journal.js'
import { LeftFiles } from './left-files.js'
import { ownIdentity, type ProcessIdentity } from './process-identity.js'

/** A file is touched so often, while its process lives. */
const heartbeatMs = 10_000

/** A file that holds more than this, and mostly what is done with, is written anew. */
const slackBytes = 4 << 20

/** A larger file is none of ours: one is written anew long before, as far as its bounds are the same everywhere. */
const maxFileBytes = 1 << 30

/** An entry that waits, and what it takes of the file. */
interface Open {
  readonly id: ThreadId
  readonly entry: JournalEntry
  readonly bytes: number
}

/**
 * The journal on disk: one file a process, of lines with a checksum, mode 0600. Entries are written in the
 * turn in which they are taken, and synced together before they are acknowledged. When nothing waits the file
 * is emptied.
 */
export class JournalFile implements JournalKeeper {
  readonly #dir: string
  readonly #identity: ProcessIdentity
  readonly #folder: JournalFolder
  readonly #left: LeftFiles
  readonly #open = new Map<number, Open>()
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
   * @param warn tells the host what is wrong with the folder or a file in it
   * @param maxBytes of what waits in a journal
   * @throws InvalidOptionError when the folder can't be made or written to, or is not this user's alone
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
      synced: () => this.synced(),
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
      // It is in Redis; that the file doesn't know costs a replay that finds it there.
    }
  }

  /** Entries that are taken while a sync is under way share the next one. */
  synced(): Promise<void> {
    if (this.#isSynced) return this.#syncing ?? Promise.resolve()
    if (this.#syncing === undefined) {
      this.#syncing = this.#sync()
      return this.#syncing
    }
    this.#afterwards ??= this.#syncing
      .catch(() => {})
      .then(() => {
        this.#afterwards = undefined
        this.#syncing = this.#sync()
        return this.#syncing
      })
    return this.#afterwards
  }

  /** A file with waiting entries is left to the next process at once. */
  close(isEmpty: boolean): void {
    clearInterval(this.#heartbeat)
    try {
      if (!isEmpty) fsyncSync(this.#fd)
      closeSync(this.#fd)
      if (isEmpty) unlinkSync(this.#path)
      else renameSync(this.#path, join(this.#dir, this.#nameFor({ ...this.#identity, began: '1' })))
    } catch {
      // Nothing more can be done for it here; another process may find it.
    }
  }

  #sync(): Promise<void> {
    this.#isSynced = true
    try {
      if (this.#isRemoved()) this.#restoreFile()
    } catch (error) {
      return Promise.reject(new JournalFailedError(this.#path, error))
    }
    const path = this.#path
    return new Promise<void>((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error ? reject(new JournalFailedError(path, error)) : resolve()))
    }).finally(() => {
      this.#syncing = undefined
    })
  }

  /** Somebody has removed the file, or its folder: what is written to it would be gone with the process. */
  #isRemoved(): boolean {
    return fstatSync(this.#fd).nlink === 0
  }

  /** What waits, in a new file. The folder is made again as it was made. */
  #restoreFile(): void {
    const before = this.#fd
    this.#folder.make()
    this.#writeAnew()
    this.#isSynced = true
    closeSync(before)
    this.#folder.tell(`The journal’s file was removed; what waits has been written to ${this.#path}`)
  }

  #append(line: string): number {
    try {
      const bytes = Buffer.from(line)
      let rest = bytes
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#fd, rest))
      this.#size += bytes.length
      this.#isSynced = false
      return bytes.length
    } catch (error) {
      this.#truncate(this.#size)
      throw new JournalFailedError(this.#path, error)
    }
  }

  #truncate(size: number): void {
    try {
      ftruncateSync(this.#fd, size)
    } catch {
      // Then a torn line stays, which readers pass over.
    }
  }

  #empty(): void {
    ftruncateSync(this.#fd, 0)
    this.#size = 0
  }

  /** What waits, and nothing else, in a new file that takes the old one's place when it is on disk. */
  #rewrite(): void {
    const [before, fd] = [this.#path, this.#fd]
    this.#writeAnew()
    const end = () => {
      // One that is closed and still there would look like one that a worker has left behind.
      unlinkSync(before)
      closeSync(fd)
    }
    void this.synced()
      .then(end)
      .catch(() => {})
  }

  /** Goes on in a new file, which begins with what waits. */
  #writeAnew(): void {
    const lines = [...this.#open].map(([number, { id, entry }]) =>
      encodeLine({ number, entry: { id, write: writeOf(entry) } }),
    )
    const path = this.#newPath()
    this.#fd = openSync(path, 'ax', 0o600)
    this.#path = path
    this.#size = 0
    for (const line of lines) this.#append(line)
  }

  #touch(): void {
    const now = new Date()
    try {
      utimesSync(this.#path, now, now)
    } catch {
      // The folder is away for the moment; writing will tell.
    }
  }

  #newPath(): string {
    return join(this.#dir, this.#nameFor(this.#identity))
  }

  #nameFor({ host, pid, began }: ProcessIdentity): string {
    return `${host}-${pid}-${began}-${randomUUID()}.journal`
  }
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
