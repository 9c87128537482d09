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
  /** Opens the metrics, and what health knows of Redis, to a bearer of it. @default they are closed */
  readonly operatorToken?: string | undefined
}

/** One connection for the application, or none; limiter, cache and memory on it, for every module that imports this one. */
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
          // Resolves while Redis is away, too: then everything below answers from memory until it is there.
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

  /** Metrics for Prometheus, and the health of Redis where there is one; before every guard, as Nest runs middleware first. */
  configure(consumer: MiddlewareConsumer): void {
    const token = this.#operatorToken
    const authorize = (request: Request) =>
      token !== undefined && request.headers.get('authorization') === `Bearer ${token}`
    consumer.apply(toNodeHandler(createMetricsHandler({ authorize }))).forRoutes('metrics')
    if (this.#redis === undefined) return
    const health = toNodeHandler(createHealthHandler(this.#redis, { authorize }))
    consumer.apply(health).forRoutes('health', 'health/redis', 'health/live')
  }

  /** At `app.close()`, and at SIGTERM behind `app.enableShutdownHooks()`: what uses the connection first. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.close()))
    await this.#redis?.close()
  }
}
