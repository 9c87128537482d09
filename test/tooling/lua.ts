import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'vitest/config'

/** Scripts that all packages may include. */
const shared = fileURLToPath(new URL('../../packages/core/src/scripts/include', import.meta.url))

const includeLine = /^--- @include "([a-z-]+)"$/gm

/**
 * The text of a Lua script. A line `--- @include "name"` stands for the script `name.lua` in the folder `include`
 * beside the script or a folder above it, or in that of core, so that no two scripts hold a copy of the same function.
 */
export function readLua(path: string): string {
  return readFileSync(path, 'utf8').replace(includeLine, (_, name: string) => {
    const file = findInclude(dirname(path), `${name}.lua`)
    if (file === undefined) throw new Error(`${path} includes "${name}", which is nowhere`)
    return readLua(file).trimEnd()
  })
}

function findInclude(folder: string, name: string): string | undefined {
  // What is included may include its neighbours.
  const base = basename(folder) === 'include' ? dirname(folder) : folder
  const near = [base, dirname(base)].map((directory) => join(directory, 'include', name))
  return [...near, join(shared, name)].find((file) => existsSync(file))
}

/** Lets vitest import a `.lua` file as text, as the build does. */
export function luaAsText(): Plugin {
  return {
    name: 'evenkeel:lua',
    enforce: 'pre',
    load(id) {
      const [path = id] = id.split('?')
      return path.endsWith('.lua')
        ? { code: `export default ${JSON.stringify(readLua(path))}`, map: null }
        : null
    },
  }
}
