import type { Server } from 'node:http'
import { createGateway } from './gateway.js'
import { optionsFrom } from './options.js'
import { createGatewayServer, createOperatorServer, listen } from './server.js'

const { env } = process

const gateway = await createGateway(optionsFrom(env))
const host = env.HOST ?? '127.0.0.1'
const servers: Server[] = []

function serve(server: Server, port: number): Promise<number> {
  servers.push(server)
  return listen(server, { port, host })
}

const operatorPort = env.GATEWAY_OPERATOR_PORT
if (operatorPort !== undefined && operatorPort !== '') {
  await serve(createOperatorServer(gateway), Number(operatorPort))
}
const port = await serve(createGatewayServer(gateway), Number(env.PORT ?? 0))
if (env.GATEWAY_API_KEYS === undefined || env.GATEWAY_API_KEYS === '') {
  console.warn(
    "GATEWAY_API_KEYS is not set: every API key is taken. Set 'key=organisation,…', or '*' if that is meant.",
  )
}
if (process.send) process.send({ port })
else console.log(`listening on port ${port}`)

let isStopping = false
async function stop(): Promise<void> {
  if (isStopping) return
  isStopping = true
  for (const server of servers) server.close()
  await gateway.close()
  process.exit(0)
}
process.once('SIGTERM', () => void stop())
process.once('SIGINT', () => void stop())
process.once('disconnect', () => void stop())
