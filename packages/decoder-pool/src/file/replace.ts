import { randomUUID } from 'node:crypto'
import { type BigIntStats, constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, readFile, readlink, rename, stat, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { isError } from '@evenkeel/core/kit'

const maxLinks = 40

/** Follows a path's symbolic links, so that they stay when the file is replaced. The target may not exist yet. */
export async function realPathOf(path: string): Promise<string> {
  let at = path
  for (let count = 0; count < maxLinks; count++) {
    const found = await lstat(at).catch(() => undefined)
    if (found?.isSymbolicLink() !== true) return at
    at = resolve(dirname(at), await readlink(at))
  }
  return at
}

/**
 * Writes a file as a whole: into a new file beside it, which gets its owner and mode and then replaces it. If it can't
 * be replaced (it is a mount of its own, or its owner would be lost), it is written in place. Returns the file's mark,
 * or `undefined` if the file is no longer untouched, and is left alone.
 */
export async function replaceDurably(
  path: string,
  text: string,
  isUntouched: () => Promise<boolean>,
  markOf: (stats: BigIntStats) => string,
): Promise<string | undefined> {
  const former = await stat(path).catch(() => undefined)
  // The name is unpredictable and created exclusively, so no link that another user planted is followed.
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    const { mark, isLike } = await writeNew(temporary, text, former ?? (await likeFolder(path)), markOf)
    if (!(await isUntouched())) return undefined
    if (isLike && (await moved(temporary, path))) {
      await syncFolder(dirname(path))
      return mark
    }
    return await writeInPlace(path, text, markOf)
  } finally {
    await unlink(temporary).catch(() => {})
  }
}

/** Copies a file with its owner and mode; `known` is its text, if the caller has it already. */
export async function copyDurably(from: string, to: string, known?: string): Promise<void> {
  const text = known ?? (await readFile(from, 'utf8'))
  const like = await stat(from).catch(() => undefined)
  const temporary = `${to}.${randomUUID()}.tmp`
  try {
    await writeNew(temporary, text, like, () => '')
    await rename(temporary, to)
    await syncFolder(dirname(to))
  } finally {
    await unlink(temporary).catch(() => {})
  }
}

type Owned = Pick<Stats, 'uid' | 'gid' | 'mode'>

async function writeNew(
  path: string,
  text: string,
  like: Owned | undefined,
  markOf: (stats: BigIntStats) => string,
): Promise<{ mark: string; isLike: boolean }> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.writeFile(text)
    const isLike = like === undefined || (await makeLike(handle, like))
    await handle.sync()
    return { mark: markOf(await handle.stat({ bigint: true })), isLike }
  } finally {
    await handle.close()
  }
}

/** Returns whether the file has the same owner now: only root may give a file to another user. */
async function makeLike(handle: FileHandle, { uid, gid, mode }: Owned): Promise<boolean> {
  const own = await handle.stat()
  if (own.uid !== uid || own.gid !== gid) {
    const isGiven = await handle.chown(uid, gid).then(
      () => true,
      () => false,
    )
    if (!isGiven) return false
  }
  await handle.chmod(mode & 0o7777)
  return true
}

/** A new file that root creates gets the owner of its folder, because the service that reads it may not be root. */
async function likeFolder(path: string): Promise<Owned | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const { uid, gid } = await stat(dirname(path))
  return { uid, gid, mode: 0o600 }
}

async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    const code = isError(error) && 'code' in error ? error.code : undefined
    // The file is a mount of its own, or on another disk than its folder.
    if (code === 'EBUSY' || code === 'EXDEV') return false
    throw error
  }
}

async function writeInPlace(
  path: string,
  text: string,
  markOf: (stats: BigIntStats) => string,
): Promise<string> {
  const handle = await open(path, constants.O_WRONLY | constants.O_TRUNC)
  try {
    await handle.writeFile(text)
    await handle.sync()
    return markOf(await handle.stat({ bigint: true }))
  } finally {
    await handle.close()
  }
}

/** Makes the rename durable. Systems that can't open a folder write it a little later. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  await handle?.sync().catch(() => {})
  await handle?.close()
}
