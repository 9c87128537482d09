import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { pinServer } from './pinned.js'

export interface InstantProvider {
  readonly url: string
  close(): Promise<unknown>
}

/**
 * Answers every request at once, with one JSON object or, if the request asks for a stream, with the chunks. It is a
 * process of its own on the servers' core, so that the bench's CPU time contains only what is measured.
 */
export async function startInstantProvider(
  answer: unknown,
  chunks: readonly unknown[] = [],
): Promise<InstantProvider> {
  const content = JSON.stringify({
    answer: JSON.stringify(answer),
    events: [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]'].map((data) => `data: ${data}\n\n`),
  })
  const server = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  server.stdin.end(content)
  const [port] = await once(createInterface(server.stdout), 'line')
  if (server.pid !== undefined) pinServer(server.pid)
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close: async () => {
      server.kill()
      await once(server, 'exit')
    },
  }
}

const script = `
  const { createServer } = require('node:http')
  const { readFileSync } = require('node:fs')
  const { answer, events } = JSON.parse(readFileSync(0, 'utf8'))
  createServer((request, response) => {
    const parts = []
    request.on('data', (part) => parts.push(part)).on('end', () => {
      if (Buffer.concat(parts).includes('"stream":true')) {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        // Each by itself, as a model's words come; what is written in one turn travels as one piece.
        let next = 0
        const write = () => {
          if (next === events.length) return response.end()
          response.write(events[next++])
          setImmediate(write)
        }
        write()
      } else response.writeHead(200, { 'content-type': 'application/json' }).end(answer)
    })
  }).listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
