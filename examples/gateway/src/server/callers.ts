import { createHash } from 'node:crypto'
import { Problem } from './problems.js'

/** The caller of a request. Other parts of the gateway see this instead of the API key. */
export interface Caller {
  /** A digest of the API key, under which requests are limited and conversations are stored. */
  readonly key: string
  /** Callers of one organisation share cached answers. */
  readonly organisation: string
}

/** The number of keys whose callers are kept, with the keys, in this process's memory and nowhere else. */
const maxRecent = 1_000

/** The function returned throws a `Problem` 401, in OpenAI's words, if the key is missing or unknown. */
export function callerLookup(
  apiKeys: ReadonlyMap<string, string> | undefined,
): (authorization: string | undefined) => Caller {
  // Keys are looked up by their digests, so that the time of a lookup reveals nothing about a key.
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
