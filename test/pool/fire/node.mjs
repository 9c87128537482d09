/** A stand-in inference node: some work a request, no more at once than its capacity, and a count of the most it had. */
import { createServer } from 'node:http'

const capacity = Number(process.argv[2])
const workMs = Number(process.argv[3])
let running = 0
let most = 0
let served = 0

const server = createServer((request, response) => {
  const answer = (status, body = {}) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  if (request.url === '/health') return answer(200)
  if (request.url === '/count') return answer(200, { running, most, served })
  if (request.url !== '/work') return answer(404)
  most = Math.max(most, running + 1)
  if (running >= capacity) return answer(429)
  running++
  setTimeout(() => {
    running--
    served++
    answer(200)
  }, workMs)
})
// Longer than anybody's pause: a connection that ends while a request is on its way is a fault of its own.
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => process.exit(0))
