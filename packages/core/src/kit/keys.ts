import { InvalidInputError } from '../errors.js'

const maxSubjectLength = 4_096

/**
 * Names the keys of one package: `evenkeel:rate-limiter:{user%3A42}:requests`.
 *
 * Everything that one operation touches shares the hash tag between the braces, so that Redis Cluster
 * keeps it on one node. Braces and `%` of a subject are escaped, so that no subject can end its own tag
 * or forge another's key.
 */
export interface Keyspace {
  /** `evenkeel:<package>:` */
  readonly prefix: string
  /** A key of `subject`; keys of one subject live on one node. */
  key(subject: string, ...parts: readonly string[]): string
  /** The subject from which {@link key} made this key with the same parts; `undefined` for any other key. */
  subjectOf(key: string, ...parts: readonly string[]): string | undefined
  /** A SCAN pattern for all keys of this keyspace whose name begins with the given text. */
  pattern(startsWith?: string): string
}

export function createKeyspace(namespace: string, room: string): Keyspace {
  const prefix = `${namespace}${room}:`
  return {
    prefix,
    key(subject, ...parts) {
      const tagged = `${prefix}{${escapeTag(subject)}}`
      return parts.length === 0 ? tagged : `${tagged}:${parts.join(':')}`
    },
    subjectOf(key, ...parts) {
      const [start, end] = [`${prefix}{`, `}${parts.map((part) => `:${part}`).join('')}`]
      if (!key.startsWith(start) || !key.endsWith(end)) return undefined
      const tag = key.slice(start.length, -end.length)
      return /[{}]/.test(tag) ? undefined : unescapeTag(tag)
    },
    pattern: (startsWith = '') => `${escapeGlob(prefix + startsWith)}*`,
  }
}

/** Checks a caller's name: well-formed text of 1 to `maxLength` characters (4,096). @throws InvalidInputError */
export function checkSubject(field: string, value: unknown, maxLength = maxSubjectLength): string {
  const isText = typeof value === 'string' && value.length > 0 && value.length <= maxLength
  // Half of a surrogate pair is no text: it can't be written as UTF-8, and two of them would share a key.
  if (!isText || !value.isWellFormed()) {
    throw new InvalidInputError(field, `well-formed text of 1 to ${maxLength} characters`, value)
  }
  return value
}

export function escapeTag(subject: string): string {
  return /[%{}]/.test(subject)
    ? subject.replaceAll('%', '%25').replaceAll('{', '%7B').replaceAll('}', '%7D')
    : subject
}

function unescapeTag(tag: string): string {
  return tag.includes('%') ? tag.replaceAll('%7B', '{').replaceAll('%7D', '}').replaceAll('%25', '%') : tag
}

export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}
