// A decoder whose answer is a digest of its request, so that the soak can tell whether it is the right one. In a
// conversation the answer lists the turns that it was sent, which shows what the gateway remembers.
// The decoder counts its requests in flight, and reports the maximum on request.
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'

let running = 0
let most = 0
let calls = 0
const digestOf = (value) => createHash('sha256').update(JSON.stringify(value)).digest('hex')
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const server = createServer(async (request, response) => {
  if (request.method === 'GET') return response.end('{"status":"ok"}')
  const parts = []
  for await (const part of request) parts.push(part)
  const { messages, input, model, stream } = JSON.parse(Buffer.concat(parts).toString())
  most = Math.max(most, ++running)
  calls++
  response.once('close', () => running--)
  const usage = { prompt_tokens: 10, completion_tokens: 8, total_tokens: 18 }
  const head = { id: `c-${calls}`, created: 1, model }
  await pause(5 + Math.random() * 60)
  if (input !== undefined) {
    const data = [input].flat().map((text, index) => ({
      object: 'embedding',
      index,
      embedding: [...Buffer.from(digestOf(text), 'hex')],
    }))
    response.setHeader('content-type', 'application/json')
    return response.end(JSON.stringify({ object: 'list', model, data, usage }))
  }
  const asked = messages.filter(({ role }) => role === 'user').map(({ content }) => content)
  const text = asked.at(-1)?.startsWith('turn ')
    ? asked.map((turn) => turn.slice('turn '.length)).join(',')
    : digestOf(messages.map(({ role, content }) => [role, content]))
  if (!stream) {
    const choices = [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }]
    response.setHeader('content-type', 'application/json')
    return response.end(JSON.stringify({ ...head, object: 'chat.completion', choices, usage }))
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const send = (choices) =>
    response.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices })}\n\n`)
  send([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }])
  for (let at = 0; at < text.length; at += 8) {
    if (response.destroyed) return
    send([{ index: 0, delta: { content: text.slice(at, at + 8) }, finish_reason: null }])
    await pause(Math.random() * 10)
  }
  send([{ index: 0, delta: {}, finish_reason: 'stop' }])
  response.end('data: [DONE]\n\n')
})
server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('message', (message) => message === 'tell' && process.send({ running, most, calls }))
process.on('disconnect', () => process.exit(0))
