import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, posix } from 'node:path'

/** How a built file names another: in `from`, `import`, `import()` and `require()`. */
const reference = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\(\s*)["'](\.\.?\/[^"']+)["']/g

/** A module is built in these forms, each with a map beside it. */
const forms = ['.js', '.cjs', '.d.ts', '.d.cts']
const form = /(?:\.d)?\.[cm]?[jt]s$/

/**
 * Files in a package's `dist` that its manifest does not reach, sorted: left by an earlier build, whose chunks had
 * other names. Turbo restores a cached build without removing other files. Paths are relative to the package.
 * @param {string} folder of the package
 * @returns {string[]}
 */
export function staleFiles(folder) {
  const {
    exports = {},
    bin = {},
    main,
    types,
  } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const reached = new Set(['dist/third-party-notices.txt'])
  const open = textsIn([exports, bin, main, types]).map((path) => posix.normalize(path))
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file) || !form.test(file)) continue
    reached.add(file).add(`${file}.map`)
    // Types refer to a module by its code file, which does not exist for types alone.
    open.push(...forms.map((ending) => file.replace(form, ending)))
    if (!isFile(join(folder, file))) continue
    for (const [, target = ''] of readFileSync(join(folder, file), 'utf8').matchAll(reference)) {
      open.push(posix.join(posix.dirname(file), target))
    }
  }
  return builtFiles(folder).filter((file) => !reached.has(file))
}

function builtFiles(folder) {
  if (statSync(join(folder, 'dist'), { throwIfNoEntry: false }) === undefined) return []
  return readdirSync(join(folder, 'dist'), { recursive: true, encoding: 'utf8' })
    .map((name) => `dist/${name.replaceAll('\\', '/')}`)
    .filter((file) => isFile(join(folder, file)))
    .sort()
}

function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}

/** All texts in a value of JSON. */
function textsIn(value) {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}
