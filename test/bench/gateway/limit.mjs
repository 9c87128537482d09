// The minimum that a proxy in Node costs: node:http, undici's request, request bodies read whole.
import { createServer } from 'node:http'
import { request as call } from 'undici'

const { UPSTREAM, PORT } = process.env
createServer((request, response) => {
  if (request.url === '/health') return response.end('{"status":"ok"}')
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', async () => {
    try {
      const answer = await call(`${UPSTREAM}${request.url}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: request.headers.authorization },
        body: Buffer.concat(parts),
      })
      const type = answer.headers['content-type']
      if (type.includes('event-stream')) {
        response.writeHead(answer.statusCode, { 'content-type': type })
        for await (const part of answer.body) response.write(part)
        response.end()
        return
      }
      const body = Buffer.from(await answer.body.arrayBuffer())
      response.writeHead(answer.statusCode, { 'content-type': type, 'content-length': body.length }).end(body)
    } catch {
      response.destroy()
    }
  })
}).listen(Number(PORT), '127.0.0.1')
