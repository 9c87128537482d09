import { type AgentMemory, createAgentMemory } from '@evenkeel/agent-memory'
import { type Connection, connect, createHealthHandler, toNodeHandler } from '@evenkeel/core'
import { createMetricsHandler } from '@evenkeel/core/prometheus'
import { createResponseCache, type ResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import {
  type DynamicModule,
  Inject,
  type MiddlewareConsumer,
  Module,
  type NestModule,
  type OnApplicationShutdown,
} from '@nestjs/common'
import { type ChatLimiter, LimitGuard } from './limit.guard.js'
import { CACHE, LIMITER, MEMORY, OPTIONS, REDIS } from './tokens.js'

export interface EvenkeelOptions {
  /** @default `REDIS_URL`, or the memory of this process */
  readonly redisUrl?: string | undefined
  /** @default 20 */
  readonly requestsPerMinute?: number | undefined
  /** The bearer token that gives access to the metrics and the health of Redis. @default no access */
  readonly operatorToken?: string | undefined
}

/** Provides the connection to Redis, if any, and the limiter, cache and memory on it to importing modules. */
@Module({})
export class EvenkeelModule implements NestModule, OnApplicationShutdown {
  readonly #parts: readonly { close(): Promise<void> }[]
  readonly #redis: Connection | undefined
  readonly #operatorToken: string | undefined

  constructor(
    @Inject(OPTIONS) options: EvenkeelOptions,
    @Inject(REDIS) redis: Connection | undefined,
    @Inject(LIMITER) limiter: ChatLimiter,
    @Inject(CACHE) cache: ResponseCache,
    @Inject(MEMORY) memory: AgentMemory,
  ) {
    this.#operatorToken = options.operatorToken
    this.#parts = [limiter, cache, memory]
    this.#redis = redis
  }

  static forRoot(options: EvenkeelOptions = {}): DynamicModule {
    const { redisUrl = process.env.REDIS_URL, requestsPerMinute = 20 } = options
    return {
      module: EvenkeelModule,
      providers: [
        { provide: OPTIONS, useValue: options },
        {
          provide: REDIS,
          // `connect` resolves while Redis is down, too; the parts below then answer from memory until it is back.
          useFactory: async () => (redisUrl === undefined ? undefined : connect({ url: redisUrl })),
        },
        {
          provide: LIMITER,
          inject: [REDIS],
          useFactory: (redis?: Connection) =>
            createRateLimiter({ redis, limits: { requests: slidingWindow(requestsPerMinute, '1m') } }),
        },
        {
          provide: CACHE,
          inject: [REDIS],
          useFactory: (redis?: Connection) => createResponseCache({ redis, ttl: '1h' }),
        },
        {
          provide: MEMORY,
          inject: [REDIS],
          useFactory: (redis?: Connection) => createAgentMemory({ redis }),
        },
        LimitGuard,
      ],
      exports: [REDIS, LIMITER, CACHE, MEMORY, LimitGuard],
    }
  }

  /** Serves the metrics, and the health of Redis if it is used. Nest runs this middleware before every guard. */
  configure(consumer: MiddlewareConsumer): void {
    const token = this.#operatorToken
    const authorize = (request: Request) =>
      token !== undefined && request.headers.get('authorization') === `Bearer ${token}`
    consumer.apply(toNodeHandler(createMetricsHandler({ authorize }))).forRoutes('metrics')
    if (this.#redis === undefined) return
    const health = toNodeHandler(createHealthHandler(this.#redis, { authorize }))
    consumer.apply(health).forRoutes('health', 'health/redis', 'health/live')
  }

  /** Nest calls this at `app.close()`, and at SIGTERM after `app.enableShutdownHooks()`. The connection closes last. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.close()))
    await this.#redis?.close()
  }
}
