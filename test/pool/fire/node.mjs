/** A stand-in inference node: each request takes some time, and those beyond its capacity get a 429. */
import { createServer } from 'node:http'

const capacity = Number(process.argv[2])
const workMs = Number(process.argv[3])
let running = 0

const server = createServer((request, response) => {
  const answer = (status, body = {}) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  if (request.url === '/health') return answer(200)
  if (request.url !== '/work') return answer(404)
  if (running >= capacity) return answer(429)
  running++
  setTimeout(() => {
    running--
    answer(200)
  }, workMs)
})
// Longer than any client's pause: closing a connection while a request is in flight would be another fault.
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => process.exit(0))
