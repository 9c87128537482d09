import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { createGatewayServer } from '@evenkeel/example-gateway/server'
import { getRequestListener } from '@hono/node-server'
import open from 'open'
import { createDashboardApp } from './app.js'
import { Observer } from './observer.js'
import { Stage } from './stage.js'
import { Traffic } from './traffic.js'

const usage = `A live page on a gateway: the way of its requests, and what an outage does to them.

  --port N     the page's port (a free one)
  --no-open    does not open a browser
  -h, --help   this text

REDIS_URL=redis://… shows a gateway on that Redis, without the buttons that take it away. Without it the dashboard
starts a Redis of its own ('redis-server' on the PATH), and ends it. Ctrl-C ends all.`

function readArguments(): { readonly port: number; readonly opens: boolean } {
  try {
    const { values } = parseArgs({
      args: process.argv.slice(2).filter((arg) => arg !== '--' && arg !== '--page'),
      options: {
        port: { type: 'string', default: '0' },
        'no-open': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) {
      console.log(usage)
      process.exit(0)
    }
    const port = Number(values.port)
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw new Error(`--port: expected a whole number from 0 to 65535, got '${values.port}'`)
    return { port, opens: !values['no-open'] && process.stdout.isTTY === true }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    process.exit(2)
  }
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const args = readArguments()
const stage = await Stage.set({ redisUrl: process.env.REDIS_URL || undefined })
const observer = new Observer(stage)
const page = getRequestListener(createDashboardApp(stage, observer).fetch, { overrideGlobalObjects: false })
const server = createGatewayServer(stage.gateway, {
  otherRoutes: (request, response) => void page(request, response),
})
const url = await listen(server, args.port)
const traffic = new Traffic(url, stage.users, (user, reply) => observer.replied(user, reply))
console.log(`The dashboard is at ${url}; Ctrl-C ends it.`)
process.send?.({ url })
if (args.opens) await open(url)

let isStopping = false
async function stop(): Promise<void> {
  if (isStopping) return
  isStopping = true
  traffic.stop()
  observer.close()
  server.close()
  server.closeAllConnections()
  await stage.close()
  process.exit(0)
}
process.once('SIGTERM', () => void stop())
process.once('SIGINT', () => void stop())
process.once('disconnect', () => void stop())
