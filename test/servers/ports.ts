import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cleanAtExit } from './process.js'

// Below Linux's ephemeral range, so that no outgoing connection takes a port while its server is restarting,
// and low enough that a cluster node's bus port (10,000 above) is below it too.
const lowest = 10_000
const count = 10_000
const claims = new Map<number, () => void>()

/**
 * A free port that no other test process takes until it is given back: a file for each port, created exclusively,
 * claims it even while its server is down.
 */
export async function claimPort(): Promise<number> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const port = lowest + Math.floor(Math.random() * count)
    if (!claim(port)) continue
    if ((await canListen(port)) && (await canListen(port + count))) return port
    releasePort(port)
  }
  throw new Error(`no free port between ${lowest} and ${lowest + count}`)
}

export function releasePort(port: number): void {
  claims.get(port)?.()
  claims.delete(port)
  rmSync(claimFile(port), { force: true })
}

function claim(port: number): boolean {
  const file = claimFile(port)
  mkdirSync(claimFolder(), { recursive: true, mode: 0o777 })
  try {
    const handle = openSync(file, 'wx')
    writeSync(handle, String(process.pid))
    closeSync(handle)
    claims.set(
      port,
      cleanAtExit(() => rmSync(file, { force: true })),
    )
    return true
  } catch {
    // The port is claimed. A holder that was killed could not give it back: then a later attempt may take it.
    removeDead(file)
    return false
  }
}

/** Removes the claim of a process that is gone, but not the one that another process has made in its place. */
function removeDead(file: string): void {
  const holder = holderOf(file)
  if (holder === undefined || isAlive(holder)) return
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
    if (holderOf(aside) !== holder) linkSync(aside, file)
    rmSync(aside, { force: true })
  } catch {
    // Another process has removed it.
  }
}

/** The process id in a claim; `undefined` if it is gone, or so new that it has none yet. */
function holderOf(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

const claimFolder = () => join(tmpdir(), 'evenkeel-ports')
const claimFile = (port: number) => join(claimFolder(), String(port))
