import type { Connection } from '@evenkeel/core'
import { escapeGlob } from '@evenkeel/core/kit'

/** Names of the pools that have nodes. Walks all keys, without holding up the server. */
export async function readPoolNames(redis: Connection): Promise<readonly string[]> {
  const prefix = `${redis.namespace}decoder-pool:{`
  const suffix = '}:nodes'
  const names = new Set<string>()
  for await (const keys of redis.scan(`${escapeGlob(prefix)}*${suffix}`)) {
    // What a name may not have in a key is escaped there as in a URL.
    for (const key of keys) names.add(decodeURIComponent(key.slice(prefix.length, -suffix.length)))
  }
  return [...names].sort()
}
