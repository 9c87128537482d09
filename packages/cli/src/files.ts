import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'

/**
 * Writes a file completely or not at all: writes a new file with an unpredictable name beside it, then renames that. An
 * existing file keeps its mode and, if root writes, its owner. A symlink is followed, not replaced.
 */
export function writeFileKeepingMode(path: string, text: string, modeOfNew: number): void {
  const existing = statSync(path, { throwIfNoEntry: false })
  const target = existing === undefined ? path : realpathSync(path)
  const draft = `${target}.${randomUUID()}.tmp`
  const file = openSync(draft, 'wx', existing === undefined ? modeOfNew : 0o600)
  try {
    writeSync(file, text)
    fsyncSync(file)
    closeSync(file)
    if (existing !== undefined) {
      chmodSync(draft, existing.mode)
      if (process.getuid?.() === 0) chownSync(draft, existing.uid, existing.gid)
    }
    renameSync(draft, target)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
