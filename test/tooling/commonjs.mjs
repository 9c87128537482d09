import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

/**
 * Makes the CommonJS form of what tsup has built in `dist`, file by file, so that entries share in both forms what they
 * have in common, and the code stays as new as its target. (tsup's own way to share in CommonJS rewrites it for old
 * engines.) `import()` becomes `require()`: Jest, whose modules run in a context of their own, refuses `import()`.
 * Every Node that we support can require ES modules too. What is awaited is required in place, so that bundlers see it
 * inside of its `try`, which says that it may be missing.
 */
const dist = 'dist'
const files = readdirSync(dist)
const modules = files.filter((file) => file.endsWith('.js'))

await build({
  entryPoints: modules.map((file) => join(dist, file)),
  outdir: dist,
  outExtension: { '.js': '.cjs' },
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  supported: { 'dynamic-import': false },
  sourcemap: true,
  logLevel: 'warning',
})
for (const file of modules) {
  const built = join(dist, file.replace(/\.js$/, '.cjs'))
  const code = readFileSync(built, 'utf8')
    // What is shared is loaded in the form of the file that loads it.
    .replace(/\brequire\("(\.\/[^"]+)\.js"\)/g, 'require("$1.cjs")')
    .replace(/\bawait Promise\.resolve\(\)\.then\(\(\) => (__toESM\(require\("[^"]+"\), 1\))\)/g, 'await $1')
  // No line moves, so the source map stays true.
  writeFileSync(built, code)
}
for (const file of files.filter((each) => each.endsWith('.d.ts'))) {
  const types = readFileSync(join(dist, file), 'utf8')
  writeFileSync(
    join(dist, file.replace(/\.ts$/, '.cts')),
    types.replace(/\b(from |import\()'(\.\/[^']+)\.js'/g, "$1'$2.cjs'"),
  )
}
