import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../..', import.meta.url))
export const cache = join(root, 'node_modules/.cache/evenkeel-outside')

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
}

export interface PublishedPackage {
  readonly name: string
  /** In the repository. */
  readonly folder: string
  /** What a user may import: the name, and the name with each subpath. */
  readonly entries: readonly string[]
  /** Packages of ours that it needs. */
  readonly needs: readonly string[]
}

/** Every package that is published, as its manifest describes it. */
export const packages: readonly PublishedPackage[] = readdirSync(join(root, 'packages'))
  .sort()
  .map((folder) => {
    const path = join(root, 'packages', folder)
    const manifest = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Manifest
    const { name } = manifest
    return {
      name,
      folder: path,
      entries: Object.keys(manifest.exports)
        .filter((subpath) => subpath !== './package.json')
        .map((subpath) => name + subpath.slice(1)),
      needs: Object.keys(manifest.dependencies ?? {}).filter((other) => other.startsWith('@evenkeel/')),
    }
  })

/** The packages of these names, with those that they need. */
export function withNeeds(names: readonly string[]): PublishedPackage[] {
  const found = new Map<string, PublishedPackage>()
  const add = (name: string) => {
    const one = packages.find((each) => each.name === name)
    if (one === undefined) throw new Error(`there is no package ${name}`)
    if (found.has(name)) return
    found.set(name, one)
    one.needs.forEach(add)
  }
  names.forEach(add)
  return [...found.values()]
}
