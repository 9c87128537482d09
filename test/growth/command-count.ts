import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import type { RedisServer } from '@evenkeel/test-servers'

/** Commands that clients sent to a server during a piece of work, without those that scripts call. */
export interface CommandCount {
  readonly total: number
  readonly byName: ReadonlyMap<string, number>
  /** Messages published, by channel. */
  readonly published: ReadonlyMap<string, number>
  /** Messages sent to subscribers, by the number of subscribers that each channel had at the end. */
  readonly delivered: number
}

const line = /^\+?\d+\.\d+ \[\d+ ([^\]]+)\] "([^"]+)"(?: "((?:[^"\\]|\\.)*)")?/

/**
 * Counts the commands of a piece of work by the server's MONITOR. The counts are exact under any load. MONITOR costs
 * the server time and bytes, so neither is measured in the same run.
 */
export async function countCommands(
  server: RedisServer,
  work: () => Promise<unknown>,
): Promise<CommandCount> {
  const socket = connect({ host: server.host, port: server.port })
  await once(socket, 'connect')
  const byName = new Map<string, number>()
  const published = new Map<string, number>()
  const [begin, end] = [randomUUID(), randomUUID()]
  let own: string | undefined
  const marks = new Map<string, () => void>()
  const reached = (mark: string) => new Promise<void>((resolve) => marks.set(mark, resolve))
  createInterface({ input: socket }).on('line', (text) => {
    const [, address, name = '', argument = ''] = line.exec(text) ?? []
    if (address === undefined || address === 'lua') return
    const mark = marks.get(argument)
    if (mark !== undefined) {
      own = address
      mark()
    }
    if (own === undefined || address === own) return
    const command = name.toUpperCase()
    byName.set(command, (byName.get(command) ?? 0) + 1)
    if (command === 'PUBLISH' || command === 'SPUBLISH')
      published.set(argument, (published.get(argument) ?? 0) + 1)
  })
  try {
    const began = reached(begin)
    const ended = reached(end)
    socket.write('MONITOR\r\n')
    // A command that is sent at the same moment may run before the MONITOR.
    while (!(await isMonitored(server)));
    await server.command('ECHO', begin)
    await began
    await work()
    await server.command('ECHO', end)
    await ended
    const total = [...byName.values()].reduce((sum, count) => sum + count, 0)
    return { total, byName, published, delivered: await deliveries(server, published) }
  } finally {
    socket.destroy()
    // Lines that MONITOR still sends would count as bytes of the next measurement.
    while (await isMonitored(server));
  }
}

async function isMonitored(server: RedisServer): Promise<boolean> {
  // Each flag is a letter: O marks a client that monitors.
  return / flags=\w*O/.test(String(await server.command('CLIENT', 'LIST')))
}

async function deliveries(server: RedisServer, published: ReadonlyMap<string, number>): Promise<number> {
  let delivered = 0
  for (const [channel, count] of published) {
    for (const kind of ['NUMSUB', 'SHARDNUMSUB']) {
      const reply = await server.command('PUBSUB', kind, channel)
      delivered += count * Number(Array.isArray(reply) ? reply[1] : 0)
    }
  }
  return delivered
}
