/** A stand-in inference node that refuses no request, and counts the most at once, and those of each coordinator. */
import { createServer } from 'node:http'

const [least, most] = process.argv.slice(2).map(Number)
let running = 0
let mostAtOnce = 0
let served = {}

const server = createServer((request, response) => {
  if (request.url === '/count') {
    response.end(JSON.stringify({ running, mostAtOnce, served }))
    // The next count starts here.
    mostAtOnce = running
    served = {}
    return
  }
  const who = request.headers['x-coordinator']
  running++
  mostAtOnce = Math.max(mostAtOnce, running)
  const work = setTimeout(() => response.end(), least + Math.random() * (most - least))
  // The answer ended, or its caller left: then a real server stops generating.
  response.on('close', () => {
    clearTimeout(work)
    running--
    served[who] = (served[who] ?? 0) + 1
  })
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
process.on('disconnect', () => process.exit(0))
