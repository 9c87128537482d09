import { execFileSync, spawnSync } from 'node:child_process'
import { cpus } from 'node:os'

const canPin = cpus().length > 1 && works('taskset', '--version')

/** One core for Node: starts this very script again on the first core, unless it runs there already. */
export function runOnOwnCore(): void {
  if (!canPin || process.env.EVENKEEL_BENCH_PINNED) return
  const [node = 'node', ...args] = [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
  const env = { ...process.env, EVENKEEL_BENCH_PINNED: '1' }
  const { status } = spawnSync('taskset', ['-c', '0', node, ...args], { stdio: 'inherit', env })
  process.exit(status ?? 1)
}

/** Moves a server to the second core. */
export function pinServer(pid: number): void {
  if (canPin) execFileSync('taskset', ['-acp', '1', String(pid)], { stdio: 'ignore' })
}

/** Moves a process that is measured in place of this one to the first core. */
export function pinMeasured(pid: number): void {
  if (canPin) execFileSync('taskset', ['-acp', '0', String(pid)], { stdio: 'ignore' })
}

function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
