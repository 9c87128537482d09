import { connect } from '@evenkeel/core'
import { createChatApp } from '../app.js'
import { Client, serve } from '../client.js'
import { standIn } from '../stand-in.js'

/** Logs in, chats, sends a message twice, and logs out. Without REDIS_URL, all is kept in memory. */
const { REDIS_URL } = process.env
const redis = REDIS_URL === undefined ? undefined : await connect({ url: REDIS_URL })
const { base, end } = await serve(createChatApp({ redis, model: standIn, secret: 'demo' }))
const client = new Client(base)
const chat = `chat-${Date.now()}`
const show = async (what: string, answer: Promise<{ status: number; text: string }>) => {
  const { status, text } = await answer
  console.log(`${what}: ${status} ${text}`)
  return text
}

console.log(`the chat is kept in ${redis ? 'Redis' : 'this process'}`)
await show('before login', client.send('GET', `/chats/${chat}`))
await show('login', client.send('POST', '/login', { user: 'ada' }))
await show('hello', client.send('POST', `/chats/${chat}`, { id: 'm1', content: 'hello' }))
await show('again', client.send('POST', `/chats/${chat}`, { id: 'm2', content: 'are you there?' }))
const resent = await show(
  'sent twice',
  client.send('POST', `/chats/${chat}`, { id: 'm2', content: 'are you there?' }),
)
const history = JSON.parse(await show('history', client.send('GET', `/chats/${chat}`)))
await show('logout', client.send('POST', '/logout'))
const { status } = await client.send('GET', `/chats/${chat}`)
await end()
await redis?.close()

const kept = history.messages.length === 4 && JSON.parse(resent).status === 'duplicate' && status === 401
if (!kept) {
  console.error('a message was lost or twice, or the logout did not hold')
  process.exitCode = 1
}
