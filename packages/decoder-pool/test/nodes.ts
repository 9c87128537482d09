import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StandIn extends AsyncDisposable {
  readonly endpoint: string
  healthy: boolean
  probes: number
}

/** An inference node that only answers its health check. */
export async function startNode(): Promise<StandIn> {
  const server = createServer((request, response) => {
    if (request.url !== '/health') return void response.writeHead(404).end()
    node.probes++
    response.writeHead(node.healthy ? 200 : 503).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const node: StandIn = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    healthy: true,
    probes: 0,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  return node
}
