import { HumanMessage } from '@langchain/core/messages'
import { RedisChatMessageHistory } from '@langchain/redis'
import { createClient } from 'redis'
import type { History, Opening } from './history-port.js'

/** The library's own client would be the same, but ends the process when it first loses its connection. */
export async function open({ url }: Opening): Promise<History> {
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  const history = new RedisChatMessageHistory({ sessionId: 't', sessionTTL: 86_400, client: client as never })
  const read = async () => (await history.getMessages()).map(({ id }) => String(id))
  return {
    async append(id, content) {
      await history.addMessage(new HumanMessage({ id, content }))
      return { journaled: false }
    },
    latest: async (count) => (await read()).slice(-count),
    all: async () => ({ ids: await read(), gaps: 0 }),
    async end() {
      await client.disconnect()
      return 0
    },
  }
}
