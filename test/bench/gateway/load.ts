import { Pool } from 'undici'
import type { Contender, Sample } from '../interleaved.js'
import type { GatewayProcess } from './processes.js'

/** The requests that a gateway gets, and the minimum size of its answers. */
export interface Load {
  readonly concurrency: number
  body(): string
  /** A shorter answer counts as wrong. */
  readonly minBytes: number
}

const path = '/v1/chat/completions'

/** A caller with its own connections, which reads answers to the end and checks them. */
export class Caller {
  readonly #pool: Pool
  readonly #headers: Readonly<Record<string, string>>

  constructor({ url, headers }: GatewayProcess, connections: number) {
    this.#pool = new Pool(url, { connections, pipelining: 1 })
    this.#headers = { 'content-type': 'application/json', authorization: 'Bearer bench', ...headers }
  }

  /** Milliseconds until the first piece of the body. @throws if the answer is no 200, or too short */
  async ask(body: string, minBytes: number): Promise<number> {
    const beganAt = performance.now()
    const answer = await this.#pool.request({ path, method: 'POST', headers: this.#headers, body })
    let firstMs = Number.NaN
    let bytes = 0
    for await (const piece of answer.body) {
      if (bytes === 0) firstMs = performance.now() - beganAt
      bytes += piece.byteLength
    }
    if (answer.statusCode !== 200 || bytes < minBytes) {
      throw new Error(`an answer of ${answer.statusCode} with ${bytes} bytes`)
    }
    return firstMs
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

/** A contender whose processor time is that of the gateway's process. */
export function gatewayContender(gateway: GatewayProcess, caller: Caller, load: Load): Contender {
  return {
    name: gateway.name,
    async run(ms): Promise<Sample> {
      const cpuBefore = await gateway.cpuUs()
      const startedAt = performance.now()
      const until = startedAt + ms
      let operations = 0
      const worker = async () => {
        while (performance.now() < until) {
          await caller.ask(load.body(), load.minBytes)
          operations++
        }
      }
      await Promise.all(Array.from({ length: load.concurrency }, worker))
      const took = performance.now() - startedAt
      return { operations, ms: took, cpuUs: (await gateway.cpuUs()) - cpuBefore }
    },
  }
}
