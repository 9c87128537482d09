// A process of the history test: a writer that appends one message after the other, or a reader. It runs what
// was built, as an application does, and may be killed at any moment.
import { connect } from '@evenkeel/core'
import { createAgentMemory } from '../../dist/index.js'

const { role, name, url, dir, from } = JSON.parse(process.argv[2] ?? '{}')
const redis = await connect({ url, commandTimeout: 150 })
const memory = createAgentMemory({
  redis,
  limits: { messages: 10_000_000, bytes: 2 ** 40 },
  ...(dir === undefined ? {} : { journal: { kind: 'file', dir, maxMessages: 1_000_000, maxBytes: 2 ** 30 } }),
})
const thread = memory.owner('o').thread('t')
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const tell = (message) => new Promise((resolve) => process.send(message, resolve))

let isRunning = true
process.on('message', () => {
  isRunning = false
})
process.on('disconnect', () => process.exit())

if (role === 'writer') {
  for (let number = from; isRunning; number++) {
    const receipt = await thread.append({ id: `${name}-${number}`, role: 'user', content: 'x'.repeat(50) })
    // Told only when it was acknowledged; what is under way when the process is killed may be there, or not.
    await tell({ acknowledged: number, status: receipt.status })
    await pause(2)
  }
} else {
  while (isRunning) {
    const window = await thread.window({ maxMessages: 30 }).catch(() => undefined)
    if (window !== undefined && !window.stale) await tell({ read: window.messages.map(({ id }) => id) })
    await pause(10)
  }
}
await memory.flushed({ signal: AbortSignal.timeout(20_000) })
await tell({ ended: true, healed: memory.stats().journal.healed, replayed: memory.stats().journal.replayed })
memory.close()
await redis.close()
process.disconnect()
