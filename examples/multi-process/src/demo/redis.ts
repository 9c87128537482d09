import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { connect } from '@evenkeel/core'

/** The demo's own Redis, without persistence: it loses all counts when it is killed. */
export class OwnRedis {
  readonly url: string
  readonly #port: number
  #child: ChildProcess | undefined

  private constructor(port: number) {
    this.#port = port
    this.url = `redis://127.0.0.1:${port}`
  }

  /** Resolves to `undefined` if there is no `redis-server` on the PATH. */
  static async start(): Promise<OwnRedis | undefined> {
    const redis = new OwnRedis(await freePort())
    return (await redis.begin()) ? redis : undefined
  }

  async begin(): Promise<boolean> {
    const args = ['--port', `${this.#port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    const child = spawn('redis-server', args, { stdio: 'ignore' })
    const isThere = await new Promise<boolean>((resolve) => {
      child.once('spawn', () => resolve(true))
      child.once('error', () => resolve(false))
    })
    if (!isThere) return false
    this.#child = child
    const probe = await connect({ url: this.url })
    const until = performance.now() + 5_000
    while (probe.state !== 'up' && performance.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 20))
    await probe.close()
    return true
  }

  /** Sends SIGKILL, so that Redis does not shut down in order. */
  async takeAway(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
