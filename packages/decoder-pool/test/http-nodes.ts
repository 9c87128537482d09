import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach } from 'vitest'
import type { DecoderPool, DecoderPoolOptions, NodeInput } from '../src/index.js'
import { useCoordinators } from './pools.js'

export type Answer = (request: IncomingMessage, response: ServerResponse) => unknown

/** Starts HTTP servers as nodes, and pools of them, which are closed after the test. */
export function useHttpNodes() {
  const { create } = useCoordinators()
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0)) await end()
  })
  const serve = async (answer: Answer): Promise<string> => {
    const server = createServer(answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => {
      server.closeAllConnections()
      server.close()
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  /** A pool of nodes with these answers; the first one is `n0`. */
  const poolOf = async (
    answers: readonly (Answer | string)[],
    options: DecoderPoolOptions = {},
    node: Partial<NodeInput> = {},
  ): Promise<DecoderPool> => {
    const pool = await create({ slowStart: 0, ...options })
    for (const [index, answer] of answers.entries()) {
      const endpoint = typeof answer === 'string' ? answer : await serve(answer)
      await pool.register({ id: `n${index}`, capacity: 8, ...node, endpoint })
    }
    return pool
  }
  return { serve, poolOf, create, after: (end: () => unknown) => ends.push(end) }
}

export const inFlight = (pool: DecoderPool): number =>
  pool.status().nodes.reduce((sum, node) => sum + node.inFlight, 0)

/** Collects garbage, as happens in a service every few seconds. */
export const collect: () => void = (() => {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()

/** Collects garbage again and again until the promise settles. */
export async function collecting<T>(pending: Promise<T>): Promise<T> {
  const timer = setInterval(collect, 10)
  return pending.finally(() => clearInterval(timer))
}
