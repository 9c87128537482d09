import { connect } from '@evenkeel/core'
import type { UIMessage } from 'ai'
import { createChatService } from '../chat.js'
import { standIn, textOf, wordsOf } from '../stand-in.js'

/** Chats, loses the page in the middle of an answer, and resumes it. Without REDIS_URL, all is kept in memory. */
const { REDIS_URL } = process.env
const redis = REDIS_URL === undefined ? undefined : await connect({ url: REDIS_URL })
let go = () => {}
const held = new Promise<void>((resolve) => {
  go = resolve
})
const service = createChatService({
  redis,
  model: async function* (messages) {
    for await (const word of standIn(messages)) {
      if (word === ' answer' && messages.length > 2) await held
      yield word
    }
  },
})
const chat = `chat-${Date.now()}`
const ask = (id: string, text: string): UIMessage => ({ id, role: 'user', parts: [{ type: 'text', text }] })

console.log(`the chat is kept in ${redis ? 'Redis' : 'this process'}`)
console.log('first answer:', await wordsOf(await service.send('ada', chat, ask('q1', 'hello'))))
const lost = await service.send('ada', chat, ask('q2', 'and now?'))
await lost.body?.cancel()
console.log('the page is gone in the middle of the second answer')
let resumed = await service.resume('ada', chat)
while (resumed.status === 204) resumed = await service.resume('ada', chat)
go()
const words = await wordsOf(resumed)
console.log('taken up again:', words)
let messages = await service.load('ada', chat)
while (messages.length < 4) messages = await service.load('ada', chat)
for (const message of messages) console.log(`  ${message.role}: ${textOf(message)}`)
await service.memory.close()
await redis?.close()
if (words !== 'This is answer 2.' || textOf(messages[3]) !== words) {
  console.error('the answer was not given again')
  process.exitCode = 1
}
