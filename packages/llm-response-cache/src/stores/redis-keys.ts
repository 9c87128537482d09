import { createKeyspace, escapeGlob, escapeTag } from '@evenkeel/core/kit'
import type { EntryKey } from './port.js'

/**
 * Names of this package's keys. An entry, its lease and its logs share a hash tag of their own, so that a
 * Cluster spreads entries; the versions of a tenant share one, so that they are set and read together.
 */
export class RedisKeys {
  readonly #room: string
  /** The last tenant's key prefix and version: most look-ups have the same tenant as the one before. */
  #lastBegin: { readonly tenant: string; readonly begin: string } | undefined
  #lastVersion: { readonly tenant: string; readonly key: string } | undefined
  readonly #entries: ReturnType<typeof createKeyspace>
  readonly #versions: ReturnType<typeof createKeyspace>

  constructor(prefix: string, room: string) {
    this.#room = room
    this.#entries = createKeyspace(prefix, room)
    this.#versions = createKeyspace(prefix, `${room}-version`)
  }

  entry({ tenant, name }: EntryKey): string {
    return `${this.#beginOf(tenant)}${escapeTag(name)}}`
  }

  lease({ tenant, name }: EntryKey): string {
    return this.#entries.key(subjectOf(tenant, name), 'lease')
  }

  log({ tenant, name }: EntryKey, generation: string): string {
    return this.#entries.key(subjectOf(tenant, name), 'log', generation)
  }

  /** Marks an entry that was requested once (`admit: 'second-sight'`). */
  seen({ tenant, name }: EntryKey): string {
    return this.#entries.key(subjectOf(tenant, name), 'seen')
  }

  /** Marks an entry that was deleted within the last `deletionMs`. */
  deleted({ tenant, name }: EntryKey): string {
    return this.#entries.key(subjectOf(tenant, name), 'deleted')
  }

  /** The channel that tells followers of news in a log; it has the log's hash tag. */
  channel({ tenant, name }: EntryKey): string {
    return `${this.#room}:{${escapeTag(subjectOf(tenant, name))}}`
  }

  version(tenant: string, name: string): string {
    if (name !== '') return this.#versions.key(tenant, name)
    if (this.#lastVersion?.tenant !== tenant) {
      this.#lastVersion = { tenant, key: this.#versions.key(tenant, '') }
    }
    return this.#lastVersion.key
  }

  /** A glob of a tenant's entries. It matches no other keys, since only an entry's key ends with its hash tag. */
  pattern(tenant: string, glob: string): string {
    return `${escapeGlob(this.#beginOf(tenant))}${escapeTag(glob)}}`
  }

  /** A glob of the leases of such entries. */
  leasePattern(tenant: string, glob: string): string {
    return `${this.pattern(tenant, glob)}:lease`
  }

  /** The name in an entry's key. */
  nameOf(tenant: string, key: string): string {
    return unescapeTag(key.slice(this.#beginOf(tenant).length, -1))
  }

  #beginOf(tenant: string): string {
    if (this.#lastBegin?.tenant !== tenant) {
      const begin = `${this.#entries.prefix}{${escapeTag(escapeTenant(tenant))}/`
      this.#lastBegin = { tenant, begin }
    }
    return this.#lastBegin.begin
  }
}

function subjectOf(tenant: string, name: string): string {
  return `${escapeTenant(tenant)}/${name}`
}

/** Escapes the separator, so that no tenant's name reaches into the entries of another tenant. */
function escapeTenant(tenant: string): string {
  return tenant.replaceAll('%', '%25').replaceAll('/', '%2F')
}

function unescapeTag(text: string): string {
  return text.replaceAll('%7B', '{').replaceAll('%7D', '}').replaceAll('%25', '%')
}
