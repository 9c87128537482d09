import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { isError } from '@evenkeel/core/kit'

/** Identifies one run of a process, so that others can tell whether a journal's file is left behind. */
export interface ProcessIdentity {
  /** Name of the machine or container, shortened. */
  readonly host: string
  readonly pid: number
  /** The system's start time of the process, since pids are reused. `0` if it is not known. */
  readonly began: string
}

export function ownIdentity(): ProcessIdentity {
  const host = createHash('sha256').update(`${hostname()} ${readOr('/proc/sys/kernel/random/boot_id')}`)
  return { host: host.digest('hex').slice(0, 12), pid: process.pid, began: beginOf(process.pid) ?? '0' }
}

/** Whether a process of this host still runs. */
export function isAlive({ pid, began }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (!(isError(error) && 'code' in error && error.code === 'EPERM')) return false
  }
  const begins = beginOf(pid)
  return begins === undefined || began === '0' || begins === began
}

/**
 * Whether a process has the file with this unique name open; `undefined` if the system does not say. Works for
 * processes of this user on Linux.
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

/** Field 22 of /proc/<pid>/stat; the name before it is in parentheses, and may contain any characters. */
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
