// Portkey's gateway as published to npm, on the given port or a free one, which it reports as ours does.
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

const port = Number(process.env.PORT) || (await freePort())
process.argv.push('--headless', `--port=${port}`)
await import('@portkey-ai/gateway/build/start-server.js')
for (;;) {
  const answered = await fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  )
  if (answered) break
  await pause(25)
}
process.send?.({ port })

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return address.port
}
