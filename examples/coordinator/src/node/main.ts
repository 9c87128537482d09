import { createServer } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'

/** A stand-in inference node: it streams a few words to each request, and refuses requests beyond its capacity. */
const [name = 'node', capacity = '8', paceMs = '5'] = process.argv.slice(2)
let running = 0
let served = 0

const server = createServer(async (request, response) => {
  const json = (status: number, body: object) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  if (request.url === '/health') return json(200, { status: 'ok' })
  if (request.url === '/loaded_adapters') return json(200, { adapters: ['en-de'] })
  if (request.url === '/count') return json(200, { running, served })
  if (request.url !== '/v1/chat/completions') return json(404, {})
  if (running >= Number(capacity)) return json(429, { error: { message: 'full' } })
  running++
  try {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-node': name })
    for (let word = 0; word < 8 && !response.destroyed; word++) {
      response.write(`data: {"choices":[{"delta":{"content":"${name} ${word} "}}]}\n\n`)
      await pause(Number(paceMs))
    }
    response.end('data: [DONE]\n\n')
    served++
  } finally {
    running--
  }
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port })
})
process.once('disconnect', () => process.exit(0))
