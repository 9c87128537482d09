import { parseArgs } from 'node:util'

export interface DemoArguments {
  readonly trace: string | undefined
  /** How many times faster than in the trace the requests are sent, within what the stand-in decoders can serve. */
  readonly speed: number
  readonly requests: number
  readonly chaos: boolean
  readonly redisUrl: string | undefined
}

const usage = `Drives an OpenAI-compatible gateway made of the evenkeel packages, and the same decoders without it.

usage: demo [options]

  --requests N     requests of the workload (400)
  --chaos          starts its own Redis, takes it away half-way, and brings it back
  --trace FILE     replays a trace: Azure's .csv, Mooncake's .jsonl
  --speed N        how many times as fast as the trace was (10)
  -h, --help       this text

REDIS_URL=redis://… lets two gateways share that Redis; the demo leaves nothing there.
Without it, and without --chaos, one gateway keeps everything in its process.

Exit code: 0 if all that the table promises held, 1 if not, 2 for arguments that make no sense.`

/** Exits with 0 after `--help`, and with 2 and a message if an argument is wrong. */
export function readArguments(args: readonly string[], env: NodeJS.ProcessEnv): DemoArguments {
  try {
    const { values } = parseArgs({
      args: args.filter((arg) => arg !== '--'),
      options: {
        trace: { type: 'string' },
        speed: { type: 'string', default: '10' },
        requests: { type: 'string', default: '400' },
        chaos: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) {
      console.log(usage)
      process.exit(0)
    }
    return {
      trace: values.trace,
      speed: positive('speed', values.speed),
      requests: Math.floor(positive('requests', values.requests)),
      chaos: values.chaos,
      redisUrl: env.REDIS_URL || undefined,
    }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n`)
    console.error(usage)
    process.exit(2)
  }
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value >= 1) || value > 1_000_000)
    throw new Error(`--${name}: expected a number from 1 to 1000000, got '${text}'`)
  return value
}
