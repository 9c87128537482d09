import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Runs `work` while no other process runs its own under the same lock, which is a folder with a pid in it. */
export async function locked<T>(folder: string, work: () => Promise<T>): Promise<T> {
  while (!taken(folder)) await sleep(50)
  try {
    return await work()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function taken(folder: string): boolean {
  const holder = join(folder, 'pid')
  try {
    mkdirSync(folder)
    writeFileSync(holder, String(process.pid))
    return true
  } catch {
    if (!holderIsAlive(holder)) rmSync(folder, { recursive: true, force: true })
    return false
  }
}

function holderIsAlive(file: string): boolean {
  let pid: string
  try {
    pid = readFileSync(file, 'utf8')
  } catch {
    return true // Made this instant, its pid not yet written; or just given back.
  }
  if (pid === '') return true
  try {
    process.kill(Number(pid), 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
