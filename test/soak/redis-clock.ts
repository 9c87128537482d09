import { execFileSync } from 'node:child_process'
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Sets the wall clock of Redis processes, as an operator or NTP may do. Monotonic clocks are not changed. */
export interface RedisClock {
  /** The environment that the processes need. */
  readonly env: Readonly<Record<string, string>>
  /** Shifts the clocks by a whole number of seconds from the right time, at once. */
  set(seconds: number): void
}

/** `undefined` without Linux or a C compiler: then only the clocks of gateways jump. */
export function redisClock(folder: string): RedisClock | undefined {
  const library = join(folder, 'redis-clock.so')
  const source = fileURLToPath(new URL('./redis-clock.c', import.meta.url))
  if (process.platform !== 'linux') return undefined
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  const path = join(folder, 'redis-clock')
  const offset = new BigInt64Array(1)
  writeFileSync(path, offset)
  return {
    env: { LD_PRELOAD: library, REDIS_CLOCK_FILE: path },
    set(seconds) {
      offset[0] = BigInt(seconds)
      const file = openSync(path, 'r+')
      writeSync(file, offset, 0, offset.byteLength, 0)
      closeSync(file)
    },
  }
}
