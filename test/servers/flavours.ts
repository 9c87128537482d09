import { type Flavour, type FlavourName, locateServers } from './locate.mjs'

export type { Flavour, FlavourName } from './locate.mjs'

let known: readonly Flavour[] | undefined

/**
 * The servers that this machine has, for `describe.each`: the one on the PATH, and those in the folder that
 * `EVENKEEL_SERVERS` names (or node_modules/.cache/evenkeel-servers). Never empty: it throws instead.
 */
export function flavours(): readonly Flavour[] {
  known ??= locateServers()
  if (known.length === 0) throw new Error('no Redis server found: run `node test/servers/ensure.mjs`')
  return known
}

/** One of `flavours()`, by name or as it is; the first if none is given. */
export function pickFlavour(wanted?: Flavour | FlavourName): Flavour {
  if (typeof wanted === 'object') return wanted
  const available = flavours()
  const flavour = available.find(({ name }) => wanted === undefined || name === wanted)
  if (!flavour) throw new Error(`no ${wanted} here, only ${available.map(({ name }) => name).join(', ')}`)
  return flavour
}
