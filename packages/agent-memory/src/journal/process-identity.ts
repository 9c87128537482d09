import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/** Tells one run of one process from every other, so that a journal's file can be known to be left behind. */
export interface ProcessIdentity {
  /** Of the machine or container, shortened. */
  readonly host: string
  readonly pid: number
  /** When the process began, as the system tells it; a pid is used again. `0` where that can't be known. */
  readonly began: string
}

export function ownIdentity(): ProcessIdentity {
  const host = createHash('sha256').update(`${hostname()} ${readOr('/proc/sys/kernel/random/boot_id')}`)
  return { host: host.digest('hex').slice(0, 12), pid: process.pid, began: beginOf(process.pid) ?? '0' }
}

/** Whether a process of this very host still runs. */
export function isAlive({ pid, began }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  const begins = beginOf(pid)
  return begins === undefined || began === '0' || begins === began
}

/**
 * Whether a process has a file open that has this name, which no other file has; `undefined` where a system doesn't tell.
 * For a process of this user on Linux.
 */
export function hasOpen(pid: number, name: string): boolean | undefined {
  const folder = `/proc/${pid}/fd`
  try {
    return readdirSync(folder).some((fd) => linkOr(`${folder}/${fd}`).endsWith(`/${name}`))
  } catch {
    return undefined
  }
}

function linkOr(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // It was closed meanwhile.
  }
}

/** Field 22 of /proc/<pid>/stat; the name before it is in parentheses, and may hold anything. */
function beginOf(pid: number): string | undefined {
  const stat = readOr(`/proc/${pid}/stat`)
  return stat === '' ? undefined : stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
