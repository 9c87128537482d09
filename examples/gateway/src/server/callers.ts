import { createHash } from 'node:crypto'
import { Problem } from './problems.js'

/** Who asks. An API key itself goes nowhere, but to be compared. */
export interface Caller {
  /** A digest of the key: what is limited, and whose conversations are read. */
  readonly key: string
  /** Whose cached answers are shared. */
  readonly organisation: string
}

/** Keys whose digests are kept: in this process's memory, and nowhere else. */
const maxRecent = 1_000

/** @throws Problem 401, in OpenAI's words, where there is no key or an unknown one */
export function callerLookup(
  apiKeys: ReadonlyMap<string, string> | undefined,
): (authorization: string | undefined) => Caller {
  // By digest: how long a comparison takes says nothing of a key.
  const known =
    apiKeys && new Map([...apiKeys].map(([key, organisation]) => [digestOf(key), `org:${organisation}`]))
  const recent = new Map<string, Caller>()
  return (authorization) => {
    const caller = recent.get(authorization ?? '')
    if (caller !== undefined) return caller
    const [, apiKey] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? []
    if (apiKey === undefined) {
      throw unauthorized("You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY'.", null)
    }
    const digest = digestOf(apiKey)
    const organisation = known === undefined ? `key:${digest}` : known.get(digest)
    if (organisation === undefined) throw unauthorized('Incorrect API key provided.', 'invalid_api_key')
    const found = { key: `key:${digest}`, organisation }
    if (recent.size >= maxRecent) recent.clear()
    recent.set(authorization ?? '', found)
    return found
  }
}

function unauthorized(message: string, code: string | null): Problem {
  return new Problem(401, message, { code, headers: { 'www-authenticate': 'Bearer' } })
}

function digestOf(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 32)
}
