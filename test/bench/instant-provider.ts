import { Worker } from 'node:worker_threads'

/** Answers every request with one JSON at once, in a thread of its own, so that it costs the bench's nothing. */
export async function startInstantProvider(
  answer: unknown,
): Promise<{ readonly url: string; close(): Promise<unknown> }> {
  const worker = new Worker(
    `const { createServer } = require('node:http')
     const { parentPort, workerData } = require('node:worker_threads')
     const server = createServer((request, response) => {
       request.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(workerData))
     })
     server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))`,
    { eval: true, workerData: JSON.stringify(answer) },
  )
  const port = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  return { url: `http://127.0.0.1:${port}/v1`, close: () => worker.terminate() }
}
