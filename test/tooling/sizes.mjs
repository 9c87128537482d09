import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Client libraries of Redis, which the application installs. */
const external = ['redis', '@redis/client', 'ioredis', 'iovalkey', '@valkey/valkey-glide']

/**
 * Bytes of a package's main entry, bundled with its dependencies, minified and gzipped: what is loaded with the import,
 * and what is loaded later, when a feature is used. `pnpm sizes` prints them, after a build.
 */
export async function sizeOf(folder) {
  const { outputFiles, metafile } = await build({
    entryPoints: { index: resolve(root, folder, 'dist/index.js') },
    bundle: true,
    splitting: true,
    minify: true,
    write: false,
    metafile: true,
    outdir: 'out',
    absWorkingDir: root,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external,
    logLevel: 'error',
  })
  const bytes = new Map(outputFiles.map(({ path, contents }) => [path, gzipSync(contents).length]))
  const sizeAt = (name) => bytes.get(join(root, name)) ?? 0
  const atImport = new Set()
  const follow = (name) => {
    if (atImport.has(name)) return
    atImport.add(name)
    for (const { path, kind } of metafile.outputs[name]?.imports ?? [])
      if (kind === 'import-statement' && metafile.outputs[path] !== undefined) follow(path)
  }
  follow('out/index.js')
  const sum = (names) => [...names].reduce((total, name) => total + sizeAt(name), 0)
  return {
    atImport: sum(atImport),
    later: sum(Object.keys(metafile.outputs).filter((name) => !atImport.has(name))),
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const name of readdirSync(join(root, 'packages'))) {
    if (JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')).name === 'evenkeel')
      continue
    const { atImport, later } = await sizeOf(`packages/${name}`)
    const kib = (value) => `${(value / 1024).toFixed(0)} KiB`
    console.log(
      `${name.padEnd(20)} ${kib(atImport).padStart(8)} with the import, ${kib(later).padStart(8)} when it is used`,
    )
  }
}
