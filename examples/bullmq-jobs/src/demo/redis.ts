import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from '@evenkeel/core'

/** The demo's own Redis, configured as a queue needs it: it writes to disk before it acknowledges. */
export class OwnRedis {
  readonly url: string
  readonly #port: number
  readonly #folder: string
  #child: ChildProcess | undefined

  private constructor(port: number, folder: string) {
    this.#port = port
    this.#folder = folder
    this.url = `redis://127.0.0.1:${port}`
  }

  /** Resolves to `undefined` if there is no `redis-server` on the PATH. */
  static async start(): Promise<OwnRedis | undefined> {
    const redis = new OwnRedis(await freePort(), await mkdtemp(join(tmpdir(), 'evenkeel-jobs-')))
    if (await redis.begin()) return redis
    await redis.end()
    return undefined
  }

  async begin(): Promise<boolean> {
    const settings = { port: `${this.#port}`, bind: '127.0.0.1', dir: this.#folder, save: '' }
    const durable = { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' }
    const args = Object.entries({ ...settings, ...durable }).flatMap(([name, value]) => [`--${name}`, value])
    const child = spawn('redis-server', args, { stdio: 'ignore' })
    const isThere = await new Promise<boolean>((resolve) => {
      child.once('spawn', () => resolve(true))
      child.once('error', () => resolve(false))
    })
    if (!isThere) return false
    this.#child = child
    const probe = await connect({ url: this.url, library: 'ioredis', logger: { info() {}, warn() {} } })
    while (probe.state !== 'up' && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20))
    await probe.close()
    return true
  }

  /** Sends SIGKILL, so that Redis writes nothing more. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  async end(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
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
