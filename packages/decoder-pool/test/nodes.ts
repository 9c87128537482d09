import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StandIn extends AsyncDisposable {
  readonly endpoint: string
  healthy: boolean
  /** Whether the node answers nothing, and keeps its connections. */
  hangs: boolean
  probes: number
  /** The answer about its adapters: a body, or a status; if `undefined`, there is no such path. */
  adapters: unknown
  adapterProbes: number
}

/** Starts an inference node that only answers its health check and the path of its adapters. */
export async function startNode(): Promise<StandIn> {
  const server = createServer((request, response) => {
    if (request.url === '/health') node.probes++
    if (request.url === '/loaded_adapters') node.adapterProbes++
    if (node.hangs) return
    if (request.url === '/loaded_adapters' && node.adapters !== undefined) {
      if (typeof node.adapters === 'number') return void response.writeHead(node.adapters).end()
      return void response.end(JSON.stringify(node.adapters))
    }
    if (request.url !== '/health') return void response.writeHead(404).end()
    response.writeHead(node.healthy ? 200 : 503).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const node: StandIn = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    healthy: true,
    hangs: false,
    probes: 0,
    adapters: undefined,
    adapterProbes: 0,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
  return node
}
