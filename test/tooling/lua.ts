import type { Plugin } from 'vitest/config'

/** Lets vitest import a `.lua` file as text, as tsup's text loader does in the build. */
export function luaAsText(): Plugin {
  return {
    name: 'evenkeel:lua',
    enforce: 'pre',
    transform(code, id) {
      if (id.endsWith('.lua')) return { code: `export default ${JSON.stringify(code)}`, map: null }
      return null
    },
  }
}
