import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import type { History, Opening } from './history-port.js'
import { Walks } from './walks.js'

export async function open({ url, dir, timeoutMs }: Opening): Promise<History> {
  const redis = await connect({ url, commandTimeout: timeoutMs })
  const memory = createAgentMemory({
    redis,
    // Longer than a round of the harness, even on a slow machine.
    healWindow: '60s',
    limits: { messages: 10_000_000, bytes: 2 ** 40 },
    ...(dir === undefined
      ? {}
      : { journal: { kind: 'file', dir, maxMessages: 1_000_000, maxBytes: 2 ** 30 } }),
  })
  const thread = memory.owner('o').thread('t')
  let walks: Walks | undefined
  return {
    async append(id, content) {
      const { status } = await thread.append({ id, role: 'user', content })
      return { journaled: status === 'journaled' }
    },
    async latest(maxMessages) {
      const { messages, stale } = await thread.window({ maxMessages })
      return stale ? undefined : messages.map(({ id }) => id)
    },
    async all() {
      const ids: string[] = []
      let [seq, gaps] = [0, 0]
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page = await thread.page({ after, limit: 500 })
        for (const entry of page.entries) {
          if (entry.seq !== ++seq) gaps++
          seq = entry.seq
          ids.push(entry.message.id)
        }
        after = page.next
      }
      return { ids, gaps }
    },
    walk(name) {
      walks ??= new Walks(memory, name)
      return walks.turn()
    },
    async end() {
      walks?.end()
      await memory.flushed({ signal: AbortSignal.timeout(20_000) })
      const { healed } = memory.stats().journal
      await memory.close()
      await redis.close()
      return healed
    },
  }
}
