import type { BigIntStats } from 'node:fs'
import { access, mkdir, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createLog, isError } from '@evenkeel/core/kit'
import { MirrorDamagedError } from '../errors.js'
import { type FileContent, nothing } from './content.js'
import { type Edit, editOf } from './edit.js'
import { decodeMirror, digestOf, encodeMirror, ForeignFileError, isOurs, type ReadMirror } from './format.js'
import { readWhole } from './read.js'
import { copyDurably, realPathOf, replaceDurably } from './replace.js'
import { textOf } from './text.js'

const log = createLog('decoder-pool')

export interface FileOwner {
  /** What the file should contain. */
  known(): FileContent
  /** Keeps members of the file that this release does not know. */
  keep(extra: FileContent['extra']): void
  /** Takes what another coordinator wrote: of each node, the newer revision stays. */
  learn(content: FileContent): Promise<void>
  /** Applies what was changed by hand, as newer than all that is known. */
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
  /** `'foreign'`: it is not the pool's file, so it is neither put aside nor overwritten. */
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
 * The pool as a JSON file. It is written as a whole (temporary file, fsync, rename), with a copy beside it as `.1`, so
 * that a whole file exists at every moment. What another coordinator or a person wrote into it is read before it is
 * overwritten. Operations run one at a time.
 */
export class PoolFile {
  readonly #file: string
  readonly #pool: string
  readonly #mirrored: FileOwner
  #turn: Promise<unknown> = Promise.resolve()
  /** Something has changed since the last write, or the last write failed. */
  #isDue = false
  #left: Left | undefined
  /** Recent contents of the file, by digest: an editor that saves now may have opened an older one. */
  readonly #editable = new Map<string, FileContent>()
  /** The mark of a damaged file at the last check, and of the one that was reported. */
  #suspect: string | undefined
  #told: string | undefined

  constructor(file: string, pool: string, mirrored: FileOwner) {
    this.#file = file
    this.#pool = pool
    this.#mirrored = mirrored
  }

  /** The first read. A missing file is an empty pool; a damaged one is reported, and its last good copy is used. */
  async load(): Promise<{ content: FileContent; damage: MirrorDamagedError | undefined }> {
    try {
      const { left, writtenBy, sha256 } = await this.#read(this.#file)
      if (writtenBy !== 'unclear') {
        this.#leave(left)
        return { content: left.content, damage: undefined }
      }
      // Edited while no coordinator ran: the copy still fits the checksum, and the first check takes the edit.
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

  /** Takes others' changes, writes what is due, and restores the file if it is gone. Usually one `stat`. */
  check(): Promise<void> {
    return this.#inTurn(async () => {
      const found = await this.#look()
      if (found.kind === 'foreign' || found.kind === 'damaged') return this.#tellOnceItStays(found)
      this.#suspect = undefined
      await this.#take(found)
      if (found.kind !== 'as-left' || this.#isDue) await this.#write()
    })
  }

  /** Resolves when what is known now, or something newer, is in the file. */
  write(): Promise<void> {
    this.#isDue = true
    return this.#inTurn(async () => {
      // An editor may save the file during a write: then its edit is read, and the write repeated. Nothing is due if
      // the write before this one already wrote all that is known.
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

  /** Renames a damaged file, so that an operator can repair it. */
  async #putAside(damaged: Damaged): Promise<void> {
    this.#tell(damaged)
    const path = await realPathOf(this.#file)
    for (let count = 1; ; count++) {
      const aside = count === 1 ? `${path}.damaged` : `${path}.damaged-${count}`
      if (await isThere(aside)) continue
      // A file that can't be renamed, such as a mount of its own, is copied.
      return rename(path, aside).catch(() => copyDurably(path, aside))
    }
  }

  /** An editor may be in the middle of saving the file, so it is reported if it is the same at two checks. */
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
      // Other errors, such as a missing permission, say nothing about what the file contains.
      if (!(error instanceof MirrorDamagedError)) throw error
      const kind = (await this.#isOurs(error)) ? 'damaged' : 'foreign'
      return { kind, damage: this.#asDamage(error), mark }
    }
  }

  /** Whether a damaged file is the pool's: it was read before, begins as the pool's, or has a good copy beside it. */
  async #isOurs(error: unknown): Promise<boolean> {
    if (error instanceof ForeignFileError) return false
    if (this.#left !== undefined) return true
    const text = await readWhole(this.#file).then(textOf, () => undefined)
    return text !== undefined && (isOurs(text, this.#pool) || (await this.#lastGood()) !== undefined)
  }

  #foundIn({ left, writtenBy, sha256 }: Read): Found {
    if (this.#left === undefined && writtenBy === 'unclear') throw this.#damaged(unclear)
    if (writtenBy === 'coordinator') return { kind: 'written', left }
    // A file that changed between two checks was edited, even if its checksum does not fit.
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

  /** Returns the file's mark, or `undefined` if somebody has saved it since the last check; then it is left alone. */
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

/** An emptied pool remembers its removals, so this rather means that nothing could be read. */
function isEmpty({ registrations, removed, experiments }: FileContent): boolean {
  return registrations.length + removed.size + experiments.length === 0
}

/** Differs after each write. It leaves out the ctime, which our own rename changes after the mark was taken. */
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
  return isError(error) && 'code' in error ? error.code : undefined
}
