import type { Topology } from '../options/location.js'

export interface ClaimedName {
  readonly name: string
  /** Lets another connection have the name. */
  release(): void
}

/** The ESM and the CommonJS build of a process share the names, since they share its metrics. */
const registry = Symbol.for('evenkeel.connection-names')

/**
 * Claims a name that no other open connection of this process has: the wanted one, or that with `#2` … appended. Names
 * are used again after a connection was closed, so that metrics of short-lived connections keep few labels.
 */
export function claimName(wanted: string): ClaimedName {
  const taken = openNames()
  let name = wanted
  for (let number = 2; taken.has(name); number++) name = `${wanted}#${number}`
  taken.add(name)
  return { name, release: () => taken.delete(name) }
}

/** Whether a connection of this name is open. */
export function isOpen(name: string): boolean {
  return openNames().has(name)
}

function openNames(): Set<string> {
  const known = Reflect.get(globalThis, registry) as Set<string> | undefined
  if (known !== undefined) return known
  const made = new Set<string>()
  Reflect.set(globalThis, registry, made)
  return made
}

/** The name of a connection to which the host gives none. It contains no user and no password. */
export function defaultName(topology: Topology): string {
  switch (topology.kind) {
    case 'borrowed':
      return 'client'
    case 'sentinel':
      return `${topology.name}/${topology.database}`
    case 'cluster':
      return topology.nodes.slice(0, 1).map(withPort).join('')
    case 'standalone':
      return `${topology.address.path ?? withPort(topology.address)}/${topology.database}`
  }
}

function withPort({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
