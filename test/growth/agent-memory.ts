import { createAgentMemory, type Message } from '@evenkeel/agent-memory'
import { startRedis } from '@evenkeel/test-servers'
import { connectCalmly, familyTables } from './family.js'
import { leastUs, roundsOf, sumOf, usageOf } from './server-usage.js'
import { type Effort, familySizes, type Section, type Table } from './tables.js'

const message: Message = { role: 'user', content: 'x'.repeat(400) }
const together = 64

/** What one more instance, thread and message of agent memory cost. */
export const agentMemory: Section = {
  name: 'agent-memory',
  async measure(effort) {
    const family = await familyTables(
      {
        id: 'memory',
        sizes: familySizes(effort),
        async make(redis, index) {
          const memory = createAgentMemory({ redis })
          await memory.owner(`first:${index}`).thread('t').append(message)
          return memory
        },
        operations: {
          'an append of 400 bytes': (memory, index) =>
            memory
              .owner(`owner:${index % 500}`)
              .thread('t')
              .append(message),
          'a window of 20': (memory, index) =>
            memory
              .owner(`owner:${index % 500}`)
              .thread('t')
              .window({ maxMessages: 20 }),
        },
      },
      effort,
    )
    return [...family, await threads(effort), await messages(effort)]
  },
}

async function threads({ smoke }: Effort): Promise<Table> {
  const rows: number[][] = []
  await using server = await startRedis()
  const redis = await connectCalmly(server.url)
  const memory = createAgentMemory({ redis })
  const append = (of: number) => memory.owner(`owner:${of}`).thread('t').append(message)
  await append(-1)
  let made = 0
  let bytes = 0
  for (const size of smoke ? [64, 128] : [100, 1_000, 10_000, 100_000]) {
    const fill = async () => {
      for (; made < size; made += together)
        await Promise.all(Array.from({ length: together }, (_, index) => append(made + index)))
    }
    bytes += sumOf(await usageOf([server], fill)).memoryBytes
    const keys = Number(await server.command('DBSIZE')) / made
    const asked = smoke ? 64 : 8_192
    const ask = async () => {
      for (let from = 0; from < asked; from += together)
        await Promise.all(
          Array.from({ length: together }, (_, index) => append(((from + index) * 7_919) % size)),
        )
    }
    const us = await leastUs([server], { count: asked, rounds: roundsOf({ smoke }) }, ask)
    rows.push([size, keys, bytes / made, us])
  }
  await memory.close()
  await redis.close()
  return {
    id: 'memory-threads',
    columns: [
      ...['threads of one message', 'keys a thread', 'bytes of Redis a thread'],
      'µs of the processor an append, 64 at once',
    ],
    rows,
  }
}

async function messages({ smoke }: Effort): Promise<Table> {
  const rows: number[][] = []
  await using server = await startRedis()
  const redis = await connectCalmly(server.url)
  const memory = createAgentMemory({ redis })
  // With one byte it keeps nothing in the process, so each read is a first read.
  const forgetful = createAgentMemory({ redis, maxBytes: 1 })
  const thread = memory.owner('one').thread('t')
  await thread.append(message)
  let made = 1
  let bytes = 0
  for (const size of smoke ? [20, 40] : [100, 1_000, 10_000]) {
    const fill = async () => {
      for (; made < size; made += 20) await thread.append(Array.from({ length: 20 }, () => message))
    }
    bytes += sumOf(await usageOf([server], fill)).memoryBytes
    const asked = smoke ? 10 : 500
    const times = (work: () => Promise<unknown>) => async () => {
      for (let count = 0; count < asked; count++) await work()
    }
    const read = () => forgetful.owner('one').thread('t').window({ maxMessages: 20 })
    const unchanged = () => thread.window({ maxMessages: 20 })
    const cpuOf = (work: () => Promise<unknown>) =>
      leastUs([server], { count: asked, rounds: roundsOf({ smoke }) }, times(work))
    const [first, again] = [await cpuOf(read), await cpuOf(unchanged)]
    const appends = smoke ? 5 : 30
    const append = async () => {
      for (let count = 0; count < appends; count++) await thread.append(message)
    }
    const appended = await leastUs([server], { count: appends, rounds: roundsOf({ smoke }) }, append)
    rows.push([size, bytes / made, appended, first, again])
  }
  await Promise.all([memory.close(), forgetful.close()])
  await redis.close()
  return {
    id: 'memory-messages',
    columns: [
      ...['messages of the thread', 'bytes of Redis a message', 'µs an append'],
      ...['µs of a window of 20, read the first time', 'µs of a window that has not changed'],
    ],
    rows,
  }
}
