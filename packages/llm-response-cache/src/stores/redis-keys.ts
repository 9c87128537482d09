import { createKeyspace, escapeGlob, escapeTag } from '@evenkeel/core'
import type { Place } from '../store.js'

/**
 * Names of this package's keys. An entry, its lease and its logs share a hash tag of their own, so that a
 * Cluster spreads entries; the stamps of a namespace share one, so that they are set and read together.
 */
export class RedisKeys {
  readonly #room: string
  readonly #entries: ReturnType<typeof createKeyspace>
  readonly #stamps: ReturnType<typeof createKeyspace>

  constructor(prefix: string, room: string) {
    this.#room = room
    this.#entries = createKeyspace(prefix, room)
    this.#stamps = createKeyspace(prefix, `${room}-stamp`)
  }

  entry({ namespace, name }: Place): string {
    return this.#entries.key(subjectOf(namespace, name))
  }

  lease({ namespace, name }: Place): string {
    return this.#entries.key(subjectOf(namespace, name), 'lease')
  }

  log({ namespace, name }: Place, generation: string): string {
    return this.#entries.key(subjectOf(namespace, name), 'log', generation)
  }

  /** Marks what was asked for once. */
  seen({ namespace, name }: Place): string {
    return this.#entries.key(subjectOf(namespace, name), 'seen')
  }

  /** Where a log's followers hear of it; beside the log in a Cluster. */
  channel({ namespace, name }: Place): string {
    return `${this.#room}:{${escapeTag(subjectOf(namespace, name))}}`
  }

  stamp(namespace: string, name: string): string {
    return this.#stamps.key(namespace, name)
  }

  /** Of the names of a namespace; matches entries alone, whose keys end with their tag. */
  pattern(namespace: string, glob: string): string {
    const begin = `${this.#entries.prefix}{${escapeTag(escapeNamespace(namespace))}/`
    return `${escapeGlob(begin)}${escapeTag(glob)}}`
  }

  /** The name in an entry's key. */
  nameOf(namespace: string, key: string): string {
    const begin = `${this.#entries.prefix}{${escapeTag(escapeNamespace(namespace))}/`
    return unescapeTag(key.slice(begin.length, -1))
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
