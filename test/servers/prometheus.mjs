// Finds Prometheus and promtool, and gets them if they are missing. Plain JavaScript, since ensure.mjs runs first.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder, onPath } from './locate.mjs'

const folder = join(cacheFolder, 'prometheus')

/** The two programs: those of the PATH, else those that {@link installPrometheus} has unpacked. */
export function locatePrometheus() {
  const unpacked = (name) => {
    const file = join(folder, 'usr/bin', name)
    return existsSync(file) ? file : undefined
  }
  const prometheus = onPath('prometheus') ?? unpacked('prometheus')
  const promtool = onPath('promtool') ?? unpacked('promtool')
  return prometheus && promtool ? { prometheus, promtool } : undefined
}

/** Unpacks this Debian's package, so that no service of the machine is started. Gives whether they are there now. */
export function installPrometheus() {
  if (!onPath('apt-get') || !onPath('dpkg')) return false
  const work = mkdtempSync(join(tmpdir(), 'evenkeel-prometheus-'))
  const run = (command, ...args) =>
    execFileSync(command, args, { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] })
  const download = () => run('apt-get', '-qq', '-o', 'APT::Sandbox::User=root', 'download', 'prometheus')
  try {
    try {
      download()
    } catch {
      // apt's lists are missing or old. A stale index of one source may not matter.
      if (process.getuid?.() !== 0) return false
      try {
        run('apt-get', '-qq', 'update')
      } catch {}
      download()
    }
    mkdirSync(folder, { recursive: true })
    for (const archive of readdirSync(work)) run('dpkg', '-x', join(work, archive), folder)
    return locatePrometheus() !== undefined
  } catch {
    return false
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
