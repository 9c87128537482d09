/** One contender of a comparison: runs its work for about `ms` milliseconds, and reports operations and CPU time. */
export interface Contender {
  readonly name: string
  run(ms: number): Promise<Sample>
}

export interface Sample {
  readonly operations: number
  readonly ms: number
  /** CPU time of the measured process, user and system, in microseconds. */
  readonly cpuUs: number
}

export interface Standing {
  readonly name: string
  /** Median over the rounds. */
  readonly perSecond: number
  readonly usEach: number
  readonly cpuUsEach: number
  /** Median over the rounds of this contender's throughput, divided by the first one's in the same round. */
  readonly ratio: number
}

/**
 * Runs contenders in turns, A B A B …, so that other load on the machine affects all of them. Ratios are taken
 * within a round, and the results are medians over the rounds.
 */
export async function interleave(
  contenders: readonly Contender[],
  { rounds, roundMs }: { rounds: number; roundMs: number },
): Promise<readonly Standing[]> {
  const samples = contenders.map((): Sample[] => [])
  for (const contender of contenders) await contender.run(roundMs / 2)
  for (let round = 0; round < rounds; round++) {
    // Each round starts with the next contender, so that none always runs first.
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round) % contenders.length
      const contender = contenders[index]
      if (contender) samples[index]?.push(await contender.run(roundMs))
    }
  }
  const base = samples[0] ?? []
  return contenders.map(({ name }, index) => {
    const own = samples[index] ?? []
    return {
      name,
      perSecond: Math.round(median(own.map(rate))),
      usEach: round2(1e6 / median(own.map(rate))),
      cpuUsEach: round2(median(own.map(({ cpuUs, operations }) => cpuUs / operations))),
      ratio: round2(median(own.map((sample, turn) => rate(sample) / rate(base[turn] ?? sample)))),
    }
  })
}

/** A contender that keeps `concurrency` operations in flight. */
export function closedLoop(name: string, concurrency: number, operation: () => Promise<unknown>): Contender {
  return {
    name,
    async run(ms) {
      const cpu = process.cpuUsage()
      const startedAt = performance.now()
      const until = startedAt + ms
      let operations = 0
      const worker = async () => {
        while (performance.now() < until) {
          await operation()
          operations++
        }
      }
      await Promise.all(Array.from({ length: concurrency }, worker))
      const { user, system } = process.cpuUsage(cpu)
      return { operations, ms: performance.now() - startedAt, cpuUs: user + system }
    },
  }
}

/** A contender whose operation does no I/O. It runs in batches, since reading the clock may cost as much. */
export function inProcess(name: string, operation: () => unknown, batch = 1_000): Contender {
  return {
    name,
    async run(ms) {
      const cpu = process.cpuUsage()
      const startedAt = performance.now()
      let operations = 0
      while (performance.now() - startedAt < ms) {
        for (let count = 0; count < batch; count++) await operation()
        operations += batch
      }
      const { user, system } = process.cpuUsage(cpu)
      return { operations, ms: performance.now() - startedAt, cpuUs: user + system }
    },
  }
}

function rate({ operations, ms }: Sample): number {
  return (operations * 1_000) / ms
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  const lower = sorted[Math.ceil(middle) - 1] ?? upper
  return (lower + upper) / 2
}

export function round2(value: number): number {
  return Number(value.toPrecision(3))
}
