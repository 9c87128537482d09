// Portkey's gateway as published to npm, on the port of PORT; it sends a message when it serves, as ours does.
import { setTimeout as pause } from 'node:timers/promises'

const port = Number(process.env.PORT)
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
