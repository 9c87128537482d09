export type FlavourName = 'redis-7' | 'redis-8' | 'valkey-8'

export interface Flavour {
  readonly name: FlavourName
  /** The executable that starts a server of this kind. */
  readonly command: string
  readonly majorVersion: number
  /** Whether VADD and VSIM exist. */
  readonly vectorSets: boolean
}

/** The folder of the whole repository, against which `EVENKEEL_SERVERS` is read. */
export const root: string
/** Where servers are put when `EVENKEEL_SERVERS` names no other folder. */
export const cacheFolder: string
/** The servers of this machine: the one on the PATH first, then those in the folders. */
export function locateServers(): Flavour[]
/** What kind of server `command` starts, or undefined if none that we know. */
export function identify(command: string): Flavour | undefined
/** The first executable file of that name on the PATH. */
export function onPath(name: string): string | undefined
