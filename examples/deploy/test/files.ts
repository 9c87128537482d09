import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'

export const folder = fileURLToPath(new URL('..', import.meta.url))

export function read(path: string): string {
  return readFileSync(join(folder, path), 'utf8')
}

/** The documents of a YAML file, merge keys resolved. */
export function yaml(path: string): readonly Record<string, unknown>[] {
  const documents = parseAllDocuments(read(path), { merge: true })
  return documents.map((document) => {
    if ('errors' in document && document.errors.length > 0) throw document.errors[0]
    return document.toJS() as Record<string, unknown>
  })
}

export function list(path: string): readonly string[] {
  return readdirSync(join(folder, path)).map((name) => join(path, name))
}
