import { readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { dirname, extname, join } from 'node:path'

/** Whether `require(specifier)` from the package in `folder` would find an ES module, or nothing at all. */
export function isOnlyForImport(folder, specifier) {
  // The build makes its own files in the form that requires them.
  if (isBuiltin(specifier) || specifier.startsWith('.')) return false
  let file
  try {
    file = createRequire(join(folder, 'package.json')).resolve(specifier)
  } catch (error) {
    // The manifest has exports, and none of them is for `require`.
    if (error.code === 'ERR_PACKAGE_PATH_NOT_EXPORTED') return true
    throw error
  }
  const extension = extname(file)
  if (extension === '.mjs') return true
  return extension === '.js' && typeOfPackage(dirname(file)) === 'module'
}

function typeOfPackage(folder) {
  try {
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).type
  } catch (error) {
    if (error.code !== 'ENOENT' || dirname(folder) === folder) throw error
    return typeOfPackage(dirname(folder))
  }
}
