import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AdminConnection, asText } from './admin.js'
import type { Flavour } from './flavours.js'
import { claimPort, releasePort } from './ports.js'
import { type ChildServer, cleanAtExit, forget, killAtExit, signal, spawnServer } from './process.js'
import type { Argument, Reply } from './resp.js'
import { makeCertificate, type TlsFiles } from './tls.js'
import { until } from './until.js'

/** A server process that belongs to a test. */
export interface RedisServer extends AsyncDisposable {
  readonly host: '127.0.0.1'
  readonly port: number
  /** `redis://` or `rediss://`, with the password when there is one. */
  readonly url: string
  /** Of the running process; it changes with a restart. */
  readonly pid: number
  /** Its folder: configuration, data, certificate and `server.log`. */
  readonly dir: string
  readonly flavour: Flavour
  readonly tls: TlsFiles | undefined
  /** Whether the process runs; frozen counts as running. */
  readonly running: boolean
  readonly frozen: boolean
  /** SIGSTOP: sockets stay open and the kernel accepts, but nothing answers. In effect when it returns. */
  freeze(): void
  resume(): void
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>
  /** SIGTERM, and SIGKILL after 5 s; resolves when the process is gone. */
  stop(): Promise<void>
  /**
   * Starts it on the same port, stopping it first if it runs. A running server saves its data first; one that
   * was killed has what it had written, which is nothing without `appendonly yes`. `empty` forgets all data.
   */
  restart(options?: { readonly empty?: boolean }): Promise<void>
  /** Sends a command through a separate socket, as a user that no password change locks out. */
  command(...args: Argument[]): Promise<Reply>
  /** The same, with strings as buffers, for keys and values that are not text. */
  commandForBuffers(...args: Argument[]): Promise<Reply<Buffer>>
  /** The field of INFO, such as `role`. */
  info(field: string): Promise<string>
  /** Kills it by pid and removes its folder. */
  close(): Promise<void>
}

export interface LaunchOptions {
  readonly flavour: Flavour
  readonly port?: number | undefined
  /** Lines of the configuration file, port and folder excepted. */
  readonly config: (port: number, dir: string) => readonly string[]
  /** What follows the configuration file on the command line. */
  readonly args?: readonly string[]
  readonly password?: string | undefined
  readonly tls?: boolean
  readonly dir?: string | undefined
  /** Environment variables of its process, in addition to this process's. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** A sentinel: it stores nothing and knows no users. */
  readonly sentinel?: boolean
}

const adminUser = 'evenkeel-test-admin'
const host = '127.0.0.1'

/** Starts a server and waits until it answers. Without a given port it tries others when one is taken. */
export async function launch(options: LaunchOptions): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await claimPort())
    const server = new Server(port, options)
    try {
      await server.start()
      return server
    } catch (error) {
      const portTaken = /already in use/i.test(server.log)
      await server.close()
      if (options.port !== undefined || !portTaken || attempt === 10) throw error
    }
  }
}

export class Server implements RedisServer {
  readonly host = host
  readonly dir: string
  readonly flavour: Flavour
  readonly url: string
  readonly tls: TlsFiles | undefined
  readonly #configFile: string
  readonly #logFile: string
  readonly #ownsDir: boolean
  readonly #forgetDir: () => void
  #admin: AdminConnection
  #child: ChildServer | undefined
  #pid = 0
  #frozen = false

  constructor(
    readonly port: number,
    private readonly options: LaunchOptions,
  ) {
    this.flavour = options.flavour
    this.#ownsDir = options.dir === undefined
    this.dir = options.dir ?? mkdtempSync(join(tmpdir(), 'evenkeel-'))
    this.#forgetDir = this.#ownsDir ? cleanAtExit(() => this.#removeDir()) : () => {}
    this.#configFile = join(this.dir, 'redis.conf')
    this.#logFile = join(this.dir, 'server.log')
    this.tls = options.tls ? makeCertificate(this.dir) : undefined
    const login = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`
    this.url = `${this.tls ? 'rediss' : 'redis'}://${login}${host}:${port}`
    this.#admin = this.#newAdmin()
    writeFileSync(this.#configFile, this.#configText())
  }

  get pid(): number {
    return this.#pid
  }

  get running(): boolean {
    return this.#child !== undefined && !this.#child.exited
  }

  get frozen(): boolean {
    return this.running && this.#frozen
  }

  get log(): string {
    return readFileSync(this.#logFile, 'utf8')
  }

  async start(): Promise<void> {
    const { flavour, args = [], env = {}, sentinel } = this.options
    const line = [this.#configFile, ...args, ...(sentinel ? ['--sentinel'] : [])]
    const child = spawnServer(flavour.command, line, this.dir, { logFile: this.#logFile, env })
    this.#child = child
    this.#pid = child.pid
    this.#frozen = false
    const ready = async () => {
      if (child.exited) return true
      // Another server may have the port, and would answer a PING: ours names the file that it was started with.
      if ((await this.info('config_file')) !== this.#configFile) return false
      await this.command('PING')
      return true
    }
    await until(ready, 15_000, { what: `${flavour.name} answers at port ${this.port}` }).catch(
      (cause: unknown) => {
        throw new Error(`${flavour.name} does not answer:\n${this.#lastLines()}`, { cause })
      },
    )
    if (child.exited) throw new Error(`${flavour.name} ended at its start:\n${this.#lastLines()}`)
    // In a container the server is not the child that we started, but its pid is a pid of this machine.
    this.#pid = Number(await this.info('process_id'))
    killAtExit(this.#pid)
  }

  freeze(): void {
    if (!this.running) throw new Error(`the server at port ${this.port} does not run`)
    signal(this.#pid, 'SIGSTOP')
    this.#frozen = true
  }

  resume(): void {
    if (this.running) signal(this.#pid, 'SIGCONT')
    this.#frozen = false
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    this.resume()
    const killer = setTimeout(() => this.running && signal(this.#pid, 'SIGKILL'), 5_000)
    await this.#end('SIGTERM').finally(() => clearTimeout(killer))
  }

  async restart({ empty = false }: { readonly empty?: boolean } = {}): Promise<void> {
    if (this.running) {
      this.resume()
      const { sentinel } = this.options
      // The server closes the connection without an answer; one that cannot save keeps running, and is killed below.
      await this.command('SHUTDOWN', ...(sentinel ? [] : [empty ? 'NOSAVE' : 'SAVE'])).catch(() => {})
      await this.kill()
    }
    if (empty) this.#removeData()
    await this.start()
  }

  async command(...args: Argument[]): Promise<Reply> {
    return asText(await this.#admin.send(args))
  }

  commandForBuffers(...args: Argument[]): Promise<Reply<Buffer>> {
    return this.#admin.send(args)
  }

  async info(field: string): Promise<string> {
    const text = String(await this.command('INFO'))
    return new RegExp(`^${field}:(.*?)\r?$`, 'm').exec(text)?.[1] ?? ''
  }

  async close(): Promise<void> {
    await this.kill()
    this.#forgetDir()
    if (this.#ownsDir) this.#removeDir()
    if (this.options.port === undefined) releasePort(this.port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #end(name: NodeJS.Signals): Promise<void> {
    if (this.#child && !this.#child.exited) {
      signal(this.#pid, name)
      await this.#child.gone()
      forget(this.#pid)
    }
    this.#admin.close()
    this.#admin = this.#newAdmin()
  }

  #newAdmin(): AdminConnection {
    const user = this.options.sentinel ? undefined : adminUser
    return new AdminConnection({ port: this.port, ca: this.tls?.ca, user })
  }

  #configText(): string {
    const { config, sentinel, password } = this.options
    const listen = this.tls
      ? ['port 0', `tls-port ${this.port}`, 'tls-cert-file cert.pem', 'tls-key-file key.pem']
      : [`port ${this.port}`]
    const tls = this.tls ? ['tls-ca-cert-file cert.pem', 'tls-auth-clients no', 'tls-replication yes'] : []
    const data = sentinel
      ? []
      : [
          'save ""',
          'shutdown-timeout 0',
          'enable-debug-command yes',
          `user ${adminUser} on nopass ~* &* +@all`,
          ...(password === undefined ? [] : [`requirepass ${password}`, `masterauth ${password}`]),
        ]
    const lines = [
      `bind ${host}`,
      `dir ${this.dir}`,
      ...listen,
      ...tls,
      ...data,
      ...config(this.port, this.dir),
    ]
    return `${lines.join('\n')}\n`
  }

  #removeDir(): void {
    // A server that was killed this instant may still be writing, and leave something in it.
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 3, retryDelay: 20 })
  }

  #removeData(): void {
    for (const name of readdirSync(this.dir)) {
      if (/\.(rdb|aof)$|^appendonlydir$/.test(name))
        rmSync(join(this.dir, name), { recursive: true, force: true })
    }
  }

  #lastLines(): string {
    return this.log.trimEnd().split('\n').slice(-12).join('\n')
  }
}
