import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'tsup'
import { isOnlyForImport } from './esm-only.mjs'
import { readLua } from './lua.js'

/** An export of a manifest as the repository has it: our source, and what is built of it. */
interface Export {
  '@evenkeel/source': string
  import: { default: string }
}

/**
 * The build of every published package: ES modules with types, Lua inlined; commonjs.mjs makes CommonJS of them. The
 * entries are the exports of its manifest; `more` are those that nobody imports, such as a command.
 */
export function definePackage(more: Record<string, string> = {}) {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
    exports: Record<string, Export | string>
    dependencies?: Record<string, string>
  }
  // CommonJS cannot require these (Node gives it a namespace where it expects the default export, or refuses), so
  // the build bundles them.
  const onlyForImport = Object.keys(manifest.dependencies ?? {}).filter(
    // Our own packages have both forms, but may not be built yet.
    (name) => !name.startsWith('@evenkeel/') && isOnlyForImport(process.cwd(), name),
  )
  return defineConfig({
    entry: { ...entries(manifest.exports), ...more },
    // commonjs.mjs makes the other form of this one.
    format: 'esm',
    dts: true,
    sourcemap: true,
    clean: true,
    target: 'node20',
    noExternal: onlyForImport,
    onSuccess: async () => writeLicences(onlyForImport),
    esbuildPlugins: [luaAsModule()],
  })
}

/** Bundled packages have their own licences, which must be passed on. */
function writeLicences(names: readonly string[]): void {
  const texts = names.map((name) => {
    const folder = join('node_modules', name)
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
    if (file === undefined) throw new Error(`${name} has no licence to pass on`)
    return `${name}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`
  })
  if (texts.length > 0) writeFileSync('dist/third-party-notices.txt', texts.join('\n\n'))
}

function entries(exports: Record<string, Export | string>): Record<string, string> {
  const entry: Record<string, string> = {}
  for (const target of Object.values(exports)) {
    if (typeof target === 'string') continue
    const built = /^\.\/dist\/(.+)\.js$/.exec(target.import.default)?.[1]
    if (built === undefined) throw new Error(`${target.import.default} is not a module in dist`)
    entry[built] = target['@evenkeel/source']
  }
  return entry
}

type Plugin = NonNullable<
  Extract<ReturnType<typeof defineConfig>, { entry?: unknown }>['esbuildPlugins']
>[number]

function luaAsModule(): Plugin {
  return {
    name: 'evenkeel:lua',
    setup(build) {
      build.onLoad({ filter: /\.lua$/ }, ({ path }) => ({ contents: readLua(path), loader: 'text' }))
    },
  }
}
