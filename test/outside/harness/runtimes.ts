import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { locked } from './lock.js'
import { cache } from './packages.js'
import { execute } from './process.js'

/** `node` is the one that runs the tests. */
export type RuntimeName = 'node' | 'node20' | 'node22' | 'node24' | 'bun' | 'deno'

export const runtimes: readonly RuntimeName[] = ['node20', 'node22', 'node24', 'bun', 'deno']

export interface Runtime {
  readonly command: string
  /** Arguments before the script. */
  readonly args: readonly string[]
}

interface Source {
  /** The npm package that contains the binary; the packages `node`, `bun` and `deno` load it by an install script. */
  readonly spec: string
  readonly binary: string
  readonly args?: readonly string[]
}

const { platform, arch } = process
const system = `${platform}-${arch}`
const bunArch = arch === 'arm64' ? 'aarch64' : arch
const denoLibc = platform === 'linux' ? '-glibc' : ''

const sources: Readonly<Record<Exclude<RuntimeName, 'node'>, Source>> = {
  node20: { spec: `node-${system}@20.20.2`, binary: 'bin/node' },
  node22: { spec: `node-${system}@22.23.3`, binary: 'bin/node' },
  node24: { spec: `node-${system}@24.21.0`, binary: 'bin/node' },
  bun: { spec: `@oven/bun-${platform}-${bunArch}@1.4.5`, binary: 'bin/bun', args: ['run'] },
  deno: {
    spec: `@deno/${system}${denoLibc}@2.9.6`,
    binary: 'deno',
    // Its code cache identifies a required file by path and time, and all files of tarballs have the same time.
    args: ['run', '--quiet', '--allow-all', '--no-code-cache', '--node-modules-dir=manual'],
  },
}

/** The runtime's binary, installed from npm at its first use on this machine. */
export async function runtime(name: RuntimeName): Promise<Runtime> {
  if (name === 'node' || process.version === `v${versionOf(name)}`) {
    return { command: process.execPath, args: [] }
  }
  const { spec, binary, args = [] } = sources[name]
  const folder = join(cache, 'runtimes', name)
  const packageName = spec.slice(0, spec.lastIndexOf('@'))
  const command = join(folder, 'node_modules', packageName, binary)
  mkdirSync(dirname(folder), { recursive: true })
  await locked(`${folder}.lock`, async () => {
    const mark = join(folder, '.spec')
    if (existsSync(mark) && readFileSync(mark, 'utf8') === spec) return
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }')
    await execute('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', spec], folder, {
      timeoutMs: 300_000,
      stderr: 'allowed',
    })
    chmodSync(command, 0o755)
    writeFileSync(mark, spec)
  })
  return { command, args }
}

function versionOf(name: Exclude<RuntimeName, 'node'>): string {
  const { spec } = sources[name]
  return spec.slice(spec.lastIndexOf('@') + 1)
}
