/** A stand-in inference node: some work a request, and no more at once than its capacity. */
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
// Longer than anybody's pause: a connection that ends while a request is on its way is a fault of its own.
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => process.exit(0))
