import type { Connection } from '@evenkeel/core'
import { createKeyspace, escapeGlob } from '@evenkeel/core/kit'

/** Names of the pools that have nodes. Walks all keys without blocking the server. */
export async function readPoolNames(redis: Connection): Promise<readonly string[]> {
  const pools = createKeyspace(redis.namespace, 'decoder-pool')
  const names = new Set<string>()
  for await (const keys of redis.scan(`${escapeGlob(pools.prefix)}{*}:nodes`)) {
    for (const key of keys) {
      const name = pools.subjectOf(key, 'nodes')
      if (name !== undefined) names.add(name)
    }
  }
  return [...names].sort()
}
