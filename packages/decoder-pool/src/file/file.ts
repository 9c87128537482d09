import type { BigIntStats } from 'node:fs'
import { access, mkdir, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createLog } from '@evenkeel/core/kit'
import { MirrorDamagedError } from '../errors.js'
import { type FileContent, nothing } from './content.js'
import { type Edit, editOf } from './edit.js'
import { decodeMirror, digestOf, encodeMirror, ForeignFileError, isOurs, type ReadMirror } from './format.js'
import { readWhole } from './read.js'
import { copyDurably, realPathOf, replaceDurably } from './replace.js'
import { textOf } from './text.js'

const log = createLog('decoder-pool')

export interface FileOwner {
  /** What is to be in the file. */
  known(): FileContent
  /** Members of the file that this release does not know. */
  keep(extra: FileContent['extra']): void
  /** What another coordinator wrote into it: of each node the newer stays. */
  learn(content: FileContent): Promise<void>
  /** What was changed by hand: newer than all that is known. */
  edited(edit: Edit): Promise<void>
  warn(damage: MirrorDamagedError): void
}

/** The file's content, compared with what this process last read or wrote. */
type Found =
  | { readonly kind: 'as-left' | 'missing' }
  | Damaged
  | { readonly kind: 'written'; readonly left: Left }
  | { readonly kind: 'edited'; readonly left: Left; readonly edit: Edit }

interface Damaged {
  /** `'foreign'`: it is not ours to put aside or to write over. */
  readonly kind: 'damaged' | 'foreign'
  readonly damage: MirrorDamagedError
  readonly mark: string
}

/** What was last read or written, and the file's mark then. */
interface Left {
  readonly content: FileContent
  readonly digest: string
  readonly mark: string
}

interface Read extends Omit<ReadMirror, 'content'> {
  readonly left: Left
}

const unclear = 'the checksum is another one; remove "sha256" after an edit by hand'

const maxEditable = 16
const maxAttempts = 5

/**
 * The pool as a JSON file. Written whole: a temporary file, fsync, rename, and a copy beside it as `.1`; so that at
 * every moment a whole file is there, whatever somebody does to the other. What somebody else wrote into it, another coordinator or a hand, is taken,
 * and never written over unread. One thing at a time.
 */
export class PoolFile {
  readonly #file: string
  readonly #pool: string
  readonly #mirrored: FileOwner
  #turn: Promise<unknown> = Promise.resolve()
  /** Something has changed since the last write, or that failed. */
  #isDue = false
  #left: Left | undefined
  /** What the file lately said, by digest: an editor that saves now may have been opened a while ago. */
  readonly #editable = new Map<string, FileContent>()
  /** The mark of a damaged file at the last check, and of the one that was reported. */
  #suspect: string | undefined
  #told: string | undefined

  constructor(file: string, pool: string, mirrored: FileOwner) {
    this.#file = file
    this.#pool = pool
    this.#mirrored = mirrored
  }

  /** To begin with. A missing file is an empty pool; a damaged one is reported, and its last good copy used. */
  async load(): Promise<{ content: FileContent; damage: MirrorDamagedError | undefined }> {
    try {
      const { left, writtenBy, sha256 } = await this.#read(this.#file)
      if (writtenBy !== 'unclear') {
        this.#leave(left)
        return { content: left.content, damage: undefined }
      }
      // An edit while no coordinator ran: the copy still is what its checksum names, and the first look takes the edit.
      const copy = await this.#lastGood()
      if (copy === undefined || copy.digest !== sha256) throw this.#damaged(unclear)
      this.#leave({ ...copy, mark: 'the copy' })
      return { content: copy.content, damage: undefined }
    } catch (error) {
      if (isMissing(error)) return { content: nothing, damage: undefined }
      this.#told = await lookAt(this.#file).catch(() => undefined)
      return { content: (await this.#lastGood())?.content ?? nothing, damage: this.#asDamage(error) }
    }
  }

  async #lastGood(): Promise<Left | undefined> {
    const copy = await this.#read(`${await realPathOf(this.#file)}.1`).catch(() => undefined)
    return copy?.writtenBy === 'unclear' ? undefined : copy?.left
  }

  /** Takes others' changes, writes what is due, and restores the file where it is gone. Mostly one `stat`. */
  check(): Promise<void> {
    return this.#inTurn(async () => {
      const found = await this.#look()
      if (found.kind === 'foreign' || found.kind === 'damaged') return this.#tellOnceItStays(found)
      this.#suspect = undefined
      await this.#take(found)
      if (found.kind !== 'as-left' || this.#isDue) await this.#write()
    })
  }

  /** Resolves when what is known by then, or something newer, is in the file. */
  write(): Promise<void> {
    this.#isDue = true
    return this.#inTurn(async () => {
      // An editor may save it while ours is written; that edit is read first. The writer before wrote all that is known.
      for (let attempt = 0; this.#isDue && attempt < maxAttempts; attempt++) {
        if (isEmpty(this.#mirrored.known())) return
        const found = await this.#look()
        if (found.kind === 'foreign') return this.#tell(found)
        if (found.kind === 'damaged') await this.#putAside(found)
        await this.#take(found)
        await this.#write()
      }
    })
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(task)
    this.#turn = done.catch(() => {})
    return done
  }

  async #take(found: Found): Promise<void> {
    if (found.kind === 'written') await this.#mirrored.learn(found.left.content)
    if (found.kind === 'edited') await this.#mirrored.edited(found.edit)
    if ('left' in found) this.#leave(found.left)
  }

  /** Kept, so that an operator can mend it. */
  async #putAside(damaged: Damaged): Promise<void> {
    this.#tell(damaged)
    const path = await realPathOf(this.#file)
    for (let count = 1; ; count++) {
      const aside = count === 1 ? `${path}.damaged` : `${path}.damaged-${count}`
      if (await isThere(aside)) continue
      // What can't be moved, such as a file that is mounted by itself, is copied.
      return rename(path, aside).catch(() => copyDurably(path, aside))
    }
  }

  /** An editor may be half-way through saving it, so it must be the same at two checks. */
  #tellOnceItStays(damaged: Damaged): void {
    const stays = this.#suspect === damaged.mark
    this.#suspect = damaged.mark
    if (stays) this.#tell(damaged)
  }

  #tell({ damage, mark }: Damaged): void {
    if (this.#told === mark) return
    this.#told = mark
    this.#mirrored.warn(damage)
  }

  async #look(): Promise<Found> {
    let mark = ''
    try {
      mark = await lookAt(this.#file)
      return mark === this.#left?.mark ? { kind: 'as-left' } : this.#foundIn(await this.#read(this.#file))
    } catch (error) {
      if (isMissing(error)) return { kind: 'missing' }
      // Whether it may be read, or is there at all, says nothing of what it holds.
      if (!(error instanceof MirrorDamagedError)) throw error
      const kind = (await this.#isOurs(error)) ? 'damaged' : 'foreign'
      return { kind, damage: this.#asDamage(error), mark }
    }
  }

  /** Whether what can't be read was ours: read before, or begun as ours, or with a good copy of ours beside it. */
  async #isOurs(error: unknown): Promise<boolean> {
    if (error instanceof ForeignFileError) return false
    if (this.#left !== undefined) return true
    const text = await readWhole(this.#file).then(textOf, () => undefined)
    return text !== undefined && (isOurs(text, this.#pool) || (await this.#lastGood()) !== undefined)
  }

  #foundIn({ left, writtenBy, sha256 }: Read): Found {
    if (this.#left === undefined && writtenBy === 'unclear') throw this.#damaged(unclear)
    if (writtenBy === 'coordinator') return { kind: 'written', left }
    // A file that changed between two looks was written by another, whatever its checksum says.
    const before = this.#editable.get(String(sha256)) ?? this.#left?.content ?? nothing
    const edit = editOf(before, left.content)
    const lacking = edit.removeNodes.length
    const of = before.registrations.length
    // An empty template that a deployment puts there must not empty the pool.
    if (lacking * 2 > of) throw this.#damaged(`it lacks ${lacking} of ${of} nodes; deregister them instead`)
    return { kind: 'edited', left, edit }
  }

  async #read(file: string): Promise<Read> {
    const mark = await lookAt(file)
    const text = textOf(await readWhole(file))
    const { content, ...more } = await decodeMirror(this.#file, this.#pool, text)
    return { left: { content, digest: digestOf(content), mark }, ...more }
  }

  async #write(): Promise<void> {
    const content = this.#mirrored.known()
    this.#isDue = false
    if (isEmpty(content)) return
    const digest = digestOf(content)
    if (digest === this.#left?.digest && !(await this.#isGone())) return
    try {
      const mark = await this.#replace(content)
      if (mark === undefined) this.#isDue = true
      else this.#leave({ content, digest, mark })
    } catch (error) {
      this.#isDue = true
      throw error
    }
  }

  /** Gives its mark; nothing, and leaves the file alone, where it was saved since it was looked at. */
  async #replace(content: FileContent): Promise<string | undefined> {
    const path = await realPathOf(this.#file)
    await mkdir(dirname(path), { recursive: true })
    const isUntouched = async () => (await this.#isGone()) || (await lookAt(this.#file)) === this.#left?.mark
    const text = encodeMirror(this.#pool, content)
    const mark = await replaceDurably(path, text, isUntouched, markOf)
    if (mark === undefined) return undefined
    await copyDurably(path, `${path}.1`, text)
    log('wrote %s', path)
    return mark
  }

  #isGone(): Promise<boolean> {
    return access(this.#file).then(
      () => false,
      () => true,
    )
  }

  #leave(left: Left): void {
    this.#left = left
    this.#mirrored.keep(left.content.extra)
    this.#editable.set(left.digest, left.content)
    const [oldest] = this.#editable.keys()
    if (this.#editable.size > maxEditable && oldest !== undefined) this.#editable.delete(oldest)
  }

  #asDamage(error: unknown): MirrorDamagedError {
    return error instanceof MirrorDamagedError ? error : this.#damaged(String(error), { cause: error })
  }

  #damaged(reason: string, options?: ErrorOptions): MirrorDamagedError {
    return new MirrorDamagedError(this.#file, reason, options)
  }
}

/** Not because its nodes were removed, which it would remember: it rather means that nothing could be read. */
function isEmpty({ registrations, removed, experiments }: FileContent): boolean {
  return registrations.length + removed.size + experiments.length === 0
}

/** Another one for whatever is written. The time of its last rename is no part of it: our own comes after. */
function markOf({ mtimeNs, size, ino }: BigIntStats): string {
  return [mtimeNs, size, ino].join(' ')
}

function lookAt(file: string): Promise<string> {
  return stat(file, { bigint: true }).then(markOf)
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT'
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
