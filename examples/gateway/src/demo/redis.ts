import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect as connectTo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@evenkeel/core'

/** The demo's own Redis, which it can kill and bring back. It has an append-only file, as in production. */
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

  static async start(): Promise<OwnRedis> {
    const redis = new OwnRedis(await freePort(), await mkdtemp(join(tmpdir(), 'evenkeel-demo-')))
    await redis.begin()
    return redis
  }

  async begin(): Promise<void> {
    const args = ['--port', `${this.#port}`, '--bind', '127.0.0.1', '--dir', this.#folder]
    args.push('--save', '', '--appendonly', 'yes')
    const child = spawn('redis-server', args, { stdio: 'ignore' })
    this.#child = child
    const failed = new Promise<never>((_, reject) => {
      child.once('error', () =>
        reject(
          new Error(
            "An outage needs 'redis-server' on the PATH (apt-get install redis-server, brew install redis)",
          ),
        ),
      )
    })
    await Promise.race([failed, this.#listening()])
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

  /** Sends SIGSTOP: the connections stay open, but Redis does not answer. */
  freeze(): void {
    this.#child?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#child?.kill('SIGCONT')
  }

  async close(): Promise<void> {
    await this.takeAway()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #listening(): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      if (await accepts(this.#port)) return
      await pause(25)
    }
    throw new Error('redis-server did not start')
  }
}

/** Deletes the demo's keys from a Redis that the demo did not start. */
export async function forget(url: string, namespace: string): Promise<void> {
  const redis = await connect({ url, namespace })
  try {
    if (redis.state !== 'up') return
    for await (const keys of redis.scan(`${redis.namespace}*`))
      await Promise.all(keys.map((key) => redis.command(['UNLINK', key], { key })))
  } finally {
    await redis.close()
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTo(port, '127.0.0.1')
    const settle = (ok: boolean) => {
      socket.destroy()
      resolve(ok)
    }
    socket.once('connect', () => settle(true))
    socket.once('error', () => settle(false))
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
