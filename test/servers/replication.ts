import type { RedisServer } from './server.js'

/**
 * The ports of the replicas to which `primary` sends each write at once. A replica that says its link is up
 * may not be among them yet, and would miss what is written just before a failover.
 */
export async function onlineReplicas(primary: RedisServer): Promise<number[]> {
  const text = String(await primary.command('INFO', 'replication'))
  const lines = text.matchAll(/^slave\d+:.*port=(\d+),state=online/gm)
  return Array.from(lines, ([, port]) => Number(port))
}
