import { createKeyspace, escapeGlob, escapeTag } from '@evenkeel/core'
import type { EntryKey } from './port.js'

/**
 * Names of this package's keys. An entry, its lease and its logs share a hash tag of their own, so that a
 * Cluster spreads entries; the versions of a namespace share one, so that they are set and read together.
 */
export class RedisKeys {
  readonly #room: string
  /** Most look-ups are of the namespace of the one before. */
  #lastBegin: { readonly namespace: string; readonly begin: string } | undefined
  #lastVersion: { readonly namespace: string; readonly key: string } | undefined
  readonly #entries: ReturnType<typeof createKeyspace>
  readonly #versions: ReturnType<typeof createKeyspace>

  constructor(prefix: string, room: string) {
    this.#room = room
    this.#entries = createKeyspace(prefix, room)
    this.#versions = createKeyspace(prefix, `${room}-version`)
  }

  entry({ namespace, name }: EntryKey): string {
    return `${this.#beginOf(namespace)}${escapeTag(name)}}`
  }

  lease({ namespace, name }: EntryKey): string {
    return this.#entries.key(subjectOf(namespace, name), 'lease')
  }

  log({ namespace, name }: EntryKey, generation: string): string {
    return this.#entries.key(subjectOf(namespace, name), 'log', generation)
  }

  /** Marks what was asked for once. */
  seen({ namespace, name }: EntryKey): string {
    return this.#entries.key(subjectOf(namespace, name), 'seen')
  }

  /** Where a log's followers hear of it; beside the log in a Cluster. */
  channel({ namespace, name }: EntryKey): string {
    return `${this.#room}:{${escapeTag(subjectOf(namespace, name))}}`
  }

  version(namespace: string, name: string): string {
    if (name !== '') return this.#versions.key(namespace, name)
    if (this.#lastVersion?.namespace !== namespace) {
      this.#lastVersion = { namespace, key: this.#versions.key(namespace, '') }
    }
    return this.#lastVersion.key
  }

  /** Of the names of a namespace; matches entries alone, whose keys end with their tag. */
  pattern(namespace: string, glob: string): string {
    return `${escapeGlob(this.#beginOf(namespace))}${escapeTag(glob)}}`
  }

  /** The name in an entry's key. */
  nameOf(namespace: string, key: string): string {
    return unescapeTag(key.slice(this.#beginOf(namespace).length, -1))
  }

  #beginOf(namespace: string): string {
    if (this.#lastBegin?.namespace !== namespace) {
      const begin = `${this.#entries.prefix}{${escapeTag(escapeNamespace(namespace))}/`
      this.#lastBegin = { namespace, begin }
    }
    return this.#lastBegin.begin
  }
}

function subjectOf(namespace: string, name: string): string {
  return `${escapeNamespace(namespace)}/${name}`
}

/** So that no namespace can end early, and reach into another one's names. */
function escapeNamespace(namespace: string): string {
  return namespace.replaceAll('%', '%25').replaceAll('/', '%2F')
}

function unescapeTag(text: string): string {
  return text.replaceAll('%7B', '{').replaceAll('%7D', '}').replaceAll('%25', '%')
}
