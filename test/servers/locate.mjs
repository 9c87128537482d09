// Finds the servers of this machine. Plain JavaScript, since ensure.mjs runs before anything is built.
import { execFileSync } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export const cacheFolder = join(root, 'node_modules/.cache/evenkeel-servers')

export function locateServers() {
  const folder = process.env.EVENKEEL_SERVERS
  const folders = [...(folder ? [resolve(root, folder)] : []), cacheFolder]
  const candidates = [
    onPath('redis-server'),
    onPath('valkey-server'),
    ...folders.flatMap((dir) => ['redis-7', 'redis-8', 'valkey-8'].map((name) => join(dir, name))),
  ]
  const found = new Map()
  for (const command of candidates) {
    if (command === undefined || !isExecutable(command)) continue
    const flavour = identify(command)
    if (flavour && !found.has(flavour.name)) found.set(flavour.name, flavour)
  }
  return [...found.values()]
}

export function identify(command) {
  let version
  try {
    version = execFileSync(command, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
  const [, product, major] = /(redis|valkey) server v=(\d+)\./i.exec(version) ?? []
  const majorVersion = Number(major)
  const kind = product?.toLowerCase()
  if (kind === 'valkey' && majorVersion >= 8)
    return { name: 'valkey-8', command, majorVersion, vectorSets: false }
  if (kind === 'redis' && majorVersion >= 8)
    return { name: 'redis-8', command, majorVersion, vectorSets: true }
  if (kind === 'redis' && majorVersion === 7)
    return { name: 'redis-7', command, majorVersion, vectorSets: false }
  return undefined
}

export function onPath(name) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((dir) => dir !== '')
    .map((dir) => join(dir, name))
    .find(isExecutable)
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
