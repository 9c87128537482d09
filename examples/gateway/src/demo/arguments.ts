import { parseArgs } from 'node:util'

export interface DemoArguments {
  readonly trace: string | undefined
  /** Times faster than the trace was, as far as the stand-in decoders can serve it. */
  readonly speed: number
  readonly requests: number
  readonly chaos: boolean
  readonly redisUrl: string | undefined
}

/** Exits with 2 and one line where an argument is wrong. */
export function readArguments(args: readonly string[], env: NodeJS.ProcessEnv): DemoArguments {
  try {
    const { values } = parseArgs({
      args: args.filter((arg) => arg !== '--'),
      options: {
        trace: { type: 'string' },
        speed: { type: 'string', default: '10' },
        requests: { type: 'string', default: '400' },
        chaos: { type: 'boolean', default: false },
      },
    })
    return {
      trace: values.trace,
      speed: positive('speed', values.speed),
      requests: Math.floor(positive('requests', values.requests)),
      chaos: values.chaos,
      redisUrl: env.REDIS_URL || undefined,
    }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}`)
    console.error('usage: demo [--requests N] [--trace FILE [--speed N]] [--chaos]')
    process.exit(2)
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value >= 1) || value > 1_000_000)
    throw new Error(`--${name}: expected a number from 1 to 1000000, got '${text}'`)
  return value
}
