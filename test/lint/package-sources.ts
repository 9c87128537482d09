import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const packages = fileURLToPath(new URL('../../packages/', import.meta.url))

export interface Source {
  /** Path below `packages`, such as `core/src/connect.ts`. */
  readonly name: string
  readonly text: string
}

export const packageSources: readonly Source[] = readdirSync(packages, { recursive: true, encoding: 'utf8' })
  .filter((name) => /^[^/]+\/src\/.*\.ts$/.test(name))
  .map((name) => ({ name, text: readFileSync(`${packages}${name}`, 'utf8') }))

/** Those that run in a host's process; the command runs in one of its own. */
export const librarySources = packageSources.filter(({ name }) => !name.startsWith('cli/'))
