import { OwnRedis, type Running, start } from '@evenkeel/example-gateway/parts'
import { createGateway, type Gateway } from '@evenkeel/example-gateway/server'
import type { RedisView } from './snapshot.js'
import { slotsOfDecoder, type User, usersOf } from './users.js'

export interface StageOptions {
  /** A Redis that already runs; the dashboard does not stop it. @default one that the dashboard starts */
  readonly redisUrl?: string | undefined
}

/** A gateway in this process, and four decoders and a Redis in processes of their own. */
export class Stage {
  readonly gateway: Gateway
  readonly decoders: readonly Running[]
  readonly users: readonly User[]
  readonly #redis: OwnRedis | undefined
  readonly #hung = new Set<string>()
  #server: RedisView['server']

  private constructor(gateway: Gateway, decoders: readonly Running[], redis: OwnRedis | undefined) {
    this.gateway = gateway
    this.decoders = decoders
    this.users = usersOf(gateway)
    this.#redis = redis
    this.#server = redis === undefined ? 'not ours' : 'running'
  }

  static async set({ redisUrl }: StageOptions): Promise<Stage> {
    const redis = redisUrl === undefined ? await OwnRedis.start() : undefined
    const decoders = await Promise.all([
      startDecoder('decoder-1', 8),
      startDecoder('decoder-2', 8),
      startDecoder('decoder-3', 8),
      startDecoder('decoder-slow', 24),
    ])
    const gateway = await createGateway({
      redisUrl: redis?.url ?? redisUrl,
      namespace: `evenkeel-dashboard-${process.pid}`,
      requestsPerMinute: 120,
      nodeHosts: ['127.0.0.1'],
    })
    for (const { name, url } of decoders)
      await gateway.pool.register({ id: name, endpoint: url, capacity: slotsOfDecoder })
    return new Stage(gateway, decoders, redis)
  }

  get server(): RedisView['server'] {
    return this.#server
  }

  isHung(decoder: string): boolean {
    return this.#hung.has(decoder)
  }

  /** @throws Error if the dashboard did not start the Redis, or the Redis is not running */
  freezeRedis(): void {
    this.#ownRedis('running').freeze()
    this.#server = 'frozen'
  }

  async killRedis(): Promise<void> {
    const redis = this.#ownRedis('running', 'frozen')
    this.#server = 'killed'
    await redis.takeAway()
  }

  async returnRedis(): Promise<void> {
    const redis = this.#ownRedis('frozen', 'killed')
    if (this.#server === 'frozen') redis.thaw()
    else await redis.begin()
    this.#server = 'running'
  }

  /** Sends SIGSTOP: the kernel still accepts connections, but the decoder does not answer. */
  hang(decoder: string): void {
    this.#decoder(decoder).child.kill('SIGSTOP')
    this.#hung.add(decoder)
  }

  wake(decoder: string): void {
    this.#decoder(decoder).child.kill('SIGCONT')
    this.#hung.delete(decoder)
  }

  async close(): Promise<void> {
    for (const name of [...this.#hung]) this.wake(name)
    await this.gateway.close()
    await Promise.all(this.decoders.map((decoder) => decoder.stop()))
    await this.#redis?.close()
  }

  #ownRedis(...states: readonly RedisView['server'][]): OwnRedis {
    if (this.#redis === undefined) throw new Error('This Redis is not the dashboard’s to take away')
    if (!states.includes(this.#server)) throw new Error(`Redis is ${this.#server}`)
    return this.#redis
  }

  #decoder(name: string): Running {
    const decoder = this.decoders.find((one) => one.name === name)
    if (decoder === undefined) throw new Error('No such decoder')
    return decoder
  }
}

function startDecoder(name: string, paceMs: number): Promise<Running> {
  return start('decoder', name, ['--slots', `${slotsOfDecoder}`, '--pace', `${paceMs}`])
}
