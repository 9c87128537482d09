import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fdatasync,
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
import { type Decoded, encodeLine } from './codec.js'
import type { JournalEntry, ThreadWrite, Write } from './entry.js'
import { isMissing, JournalFolder, type OpenFile, reasonOf, warn } from './folder.js'
import type { JournalKeeper } from './journal.js'
import { isAlive, ownIdentity, type ProcessIdentity } from './process-identity.js'

/** A file is touched so often, while its process lives. */
const heartbeatMs = 10_000

/** A file of another host, whose processes can't be asked, is left behind when it was not touched for so long. */
const abandonedMs = 60_000

/** A file that holds more than this, and mostly what is done with, is written anew. */
const slackBytes = 4 << 20

/** A larger file is none of ours: one is written anew long before, as far as its bounds are the same everywhere. */
const maxFileBytes = 1 << 30

/** Files that are looked at again when one was renamed meanwhile: so often at most. */
const maxLooks = 5

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
  readonly #folder: JournalFolder
  readonly #identity: ProcessIdentity
  readonly #open = new Map<number, Open>()
  readonly #heartbeat: NodeJS.Timeout
  /** Of files that were taken over in part, because the disk was full: how many of their entries. */
  readonly #adopted = new Map<string, number>()
  #adopt: ((left: ThreadWrite) => void) | undefined
  #done: (() => void) | undefined
  #path: string
  #fd: number
  #size = 0
  #openBytes = 0
  #next = 1
  #syncing: Promise<void> | undefined
  #afterwards: Promise<void> | undefined
  #isSynced = true

  /**
   * @param maxBytes of what waits in a journal
   * @throws InvalidOptionError when the folder can't be made or written to, or is not this user's alone
   */
  constructor(dir: string, maxBytes = 0) {
    this.#dir = dir
    this.#folder = new JournalFolder(dir, Math.max(maxFileBytes, 16 * maxBytes))
    this.#identity = ownIdentity()
    this.#path = this.#newPath()
    try {
      this.#fd = openSync(this.#path, 'ax', 0o600)
    } catch (error) {
      throw new InvalidOptionError('journal.dir', `a folder that can be written to (${reasonOf(error)})`, dir)
    }
    this.#heartbeat = setInterval(() => {
      this.#touch()
      this.#takeOver(false)
    }, heartbeatMs)
    this.#heartbeat.unref()
  }

  /**
   * Looks for what processes that are gone have left behind: now, and from time to time.
   * @param adopt takes one write of theirs into this journal; it may throw
   * @param done is called when something was taken
   */
  start(adopt: (left: ThreadWrite) => void, done: () => void): void {
    this.#adopt = adopt
    this.#done = done
    this.#takeOver(true)
  }

  /** Takes over the files of processes that are gone. Nothing that is in the folder makes it throw. */
  #takeOver(atStart: boolean): void {
    if (this.#adopt === undefined) return
    let isAny = false
    for (const { name, of } of this.#folder.files()) {
      if (!this.#mayBeLeft(name, of)) continue
      const file = this.#folder.open(name)
      if (file === undefined) continue
      try {
        if (this.#isLeft(file, of, atStart)) isAny = this.#take(file, this.#adopt) || isAny
      } catch (error) {
        this.#folder.warn(name, reasonOf(error))
      } finally {
        file.close()
      }
    }
    if (isAny) this.#done?.()
  }

  /** It is renamed first, so that only one process takes it. Says whether something was in it. */
  #take(file: OpenFile, adopt: (left: ThreadWrite) => void): boolean {
    const [before, taken] = [join(this.#dir, file.name), this.#newPath()]
    try {
      renameSync(before, taken)
    } catch (error) {
      if (isMissing(error)) return false // Another process was faster.
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
        warn(`The file ${before} could not be taken over as a whole, and is tried again: ${reasonOf(error)}`)
      }
      this.#adopted.set(file.name, count)
      renameSync(taken, before)
      return count > first
    }
    this.#adopted.delete(file.name)
    if (decoded.spoilt > 0) {
      warn(`${decoded.spoilt} lines of the journal’s file ${before} are not whole, and are passed over`)
    }
    // What is found is in this process's own file by now; only when that is on disk may the other go.
    void this.synced()
      .then(() => unlinkSync(taken))
      .catch(() => {})
    return count > first
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

  /** A file with entries that wait is left to whoever comes next, at once. */
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
    const path = this.#path
    return new Promise<void>((resolve, reject) => {
      fdatasync(this.#fd, (error) => (error ? reject(new JournalFailedError(path, error)) : resolve()))
    }).finally(() => {
      this.#syncing = undefined
    })
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
    const lines = [...this.#open].map(([number, { id, entry }]) =>
      encodeLine({ number, entry: { id, write: writeOf(entry) } }),
    )
    const path = this.#newPath()
    const [before, fd] = [this.#path, this.#fd]
    this.#fd = openSync(path, 'ax', 0o600)
    this.#path = path
    this.#size = 0
    for (const line of lines) this.#append(line)
    const end = () => {
      closeSync(fd)
      unlinkSync(before)
    }
    void this.synced()
      .then(end)
      .catch(() => {})
  }

  /** Whether the process that a file is of is gone, as far as this host can know. */
  #mayBeLeft(name: string, { host, pid, began }: ProcessIdentity): boolean {
    if (join(this.#dir, name) === this.#path) return false
    return host !== this.#identity.host || !isAlive({ host, pid, began })
  }

  /**
   * A process that begins takes what is left on its host: it may be itself, before a crash, and its new writes come
   * behind those. One that has run for long leaves it some time to come back.
   */
  #isLeft({ touchedAt }: OpenFile, { host }: ProcessIdentity, atStart: boolean): boolean {
    return (atStart && host === this.#identity.host) || Date.now() - touchedAt > abandonedMs
  }

  #namesOfOthers(): readonly string[] {
    return this.#folder
      .files()
      .filter(({ name, of }) => of.host === this.#identity.host && join(this.#dir, name) !== this.#path)
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
