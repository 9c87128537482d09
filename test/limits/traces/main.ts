import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { connect, ManualClock } from '@evenkeel/core'
import { MemoryLimitStore, RedisLimitStore } from '@evenkeel/rate-limiter/store'
import { startRedis } from '@evenkeel/test-servers'
import { readTrace } from '../../../examples/gateway/src/demo/trace.js'
import {
  type Arrival,
  byExactLog,
  byStore,
  halfOfPeak,
  mostAdmissible,
  type Replay,
  replay,
} from './replay.js'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { wait: { type: 'string', default: '30' }, minutes: { type: 'boolean', default: false } },
})
if (positionals.length === 0) throw new Error('Name a trace: .csv (Azure) or .jsonl (Mooncake)')
const server = await startRedis()
const redis = await connect({ url: server.url })

for (const path of positionals) {
  const rows = await readTrace(path, Number.POSITIVE_INFINITY)
  const arrivals = rows
    .map(({ atMs, promptTokens, answerTokens }): Arrival => ({ atMs, tokens: promptTokens + answerTokens }))
    .sort((one, other) => one.atMs - other.atMs)
  const budget = halfOfPeak(arrivals)
  console.log(
    `\n${basename(path)}: ${arrivals.length} requests; limits ${budget.requests} requests and ${budget.tokens} tokens a minute, half of the peak\n`,
  )
  console.log('| who | may wait | at once | delayed | refused | tokens admitted | delay p50 | p99 |')
  console.log('| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |')
  for (const maxDelayMs of [0, Number(values.wait) * 1_000]) {
    const inMemory = new ManualClock()
    const inRedis = new ManualClock()
    const onRedis = new RedisLimitStore(redis, {
      name: `trace-${basename(path)}-${maxDelayMs}`,
      now: () => inRedis.now(),
    })
    const memory = new MemoryLimitStore({ clock: inMemory })
    const ours = await replay(arrivals, byStore(memory, inMemory, budget, maxDelayMs))
    print('evenkeel, in memory', maxDelayMs, ours)
    print(
      'evenkeel, on Redis',
      maxDelayMs,
      await replay(arrivals, byStore(onRedis, inRedis, budget, maxDelayMs)),
    )
    print('exact log', maxDelayMs, await replay(arrivals, byExactLog(budget, maxDelayMs)))
    if (values.minutes) printMinutes(ours)
  }
  console.log(
    `| nobody, knowing the future, more than | 0 s | ${mostAdmissible(arrivals, budget)} | | | | | |`,
  )
}
await redis.close()
await server.close()

function print(who: string, maxDelayMs: number, result: Replay): void {
  const { admitted, delayed, refused, admittedTokens, delays } = result
  const at = (part: number) =>
    `${((delays[Math.floor(part * (delays.length - 1))] ?? 0) / 1_000).toFixed(1)} s`
  const limitKeys = [
    who,
    `${maxDelayMs / 1_000} s`,
    admitted - delayed,
    delayed,
    refused,
    admittedTokens,
    at(0.5),
    at(0.99),
  ]
  console.log(`| ${limitKeys.join(' | ')} |`)
}

function printMinutes({ minutes }: Replay): void {
  for (const [index, { admitted, delayed, refused }] of minutes.entries())
    console.log(`    minute ${index}: ${admitted} at once, ${delayed} delayed, ${refused} refused`)
}
