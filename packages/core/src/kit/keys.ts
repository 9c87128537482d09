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
    pattern: (startsWith = '') => `${escapeGlob(prefix + startsWith)}*`,
  }
}

/** Checks a name that a caller chose: well-formed text, not empty, at most 4,096 characters unless said otherwise. */
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

export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]]/g, '\\$&')
}
