import type { ResolvedOptions } from '../options.js'
import { UsageCounters } from '../usage/counters.js'
import { LocalCounts } from '../usage/local-counts.js'
import { observeLimiter } from '../usage/metrics.js'
import { Decider } from './decider.js'
import type { WaitQueue } from './queue.js'
import { SlotRenewal } from './slot-renewal.js'

/** What limiters with the same options on one connection share. */
export interface LimiterCore {
  readonly decider: Decider
  readonly slots: SlotRenewal
  readonly usage: UsageCounters | undefined
  readonly counts: LocalCounts
  readonly queues: Set<WaitQueue>
  /** Each limiter calls this once; the last call closes the core. */
  release(): Promise<void>
}

interface Sharing {
  readonly core: LimiterCore
  readonly options: ResolvedOptions
  users: number
}

/** A `Symbol.for`, since the ESM and the CommonJS build of this package may both be in one process. */
const registryKey = Symbol.for('evenkeel.rate-limiter.cores')

/**
 * Gives limiters with the same options on one connection the same core, so that they are one instance among those that
 * share the limits, with one share in an outage. Without Redis, each limiter counts by itself.
 */
export function acquireCore(options: ResolvedOptions): LimiterCore {
  const { redis } = options
  if (redis === undefined) return createCore(options, () => true)
  const holder = globalThis as { [registryKey]?: WeakMap<object, Set<Sharing>> }
  holder[registryKey] ??= new WeakMap()
  const sharings = holder[registryKey].get(redis) ?? new Set()
  holder[registryKey].set(redis, sharings)
  for (const sharing of sharings) {
    if (!isSame(sharing.options, options)) continue
    sharing.users++
    return sharing.core
  }
  const sharing: Sharing = {
    options,
    users: 1,
    core: createCore(options, () => {
      sharing.users--
      if (sharing.users > 0) return false
      sharings.delete(sharing)
      return true
    }),
  }
  sharings.add(sharing)
  return sharing.core
}

/** @param released counts a user less, and returns whether it was the last one */
function createCore(options: ResolvedOptions, released: () => boolean): LimiterCore {
  const slots: SlotRenewal = new SlotRenewal((held) => decider.renew(held))
  const decider = new Decider(options, () => slots.held)
  const counts = new LocalCounts()
  const queues = new Set<WaitQueue>()
  const usage = options.stats ? new UsageCounters(options) : undefined
  const stopMetrics = observeLimiter({
    limiter: options.name,
    telemetry: options.telemetry,
    counts,
    waiting: () => [...queues].reduce((sum, queue) => sum + queue.count, 0),
    instances: () => decider.instances,
    now: () => options.clock.now(),
  })
  return {
    decider,
    slots,
    usage,
    counts,
    queues,
    async release() {
      if (!released()) return
      slots.close()
      stopMetrics()
      await Promise.all([usage?.close(), decider.close()])
    },
  }
}

function isSame(one: ResolvedOptions, other: ResolvedOptions): boolean {
  return (
    one.name === other.name &&
    one.limitList === other.limitList &&
    one.onOutage === other.onOutage &&
    one.expectedInstances === other.expectedInstances &&
    one.maxSubjects === other.maxSubjects &&
    one.denialMemoryMs === other.denialMemoryMs &&
    one.stats === other.stats &&
    one.telemetry === other.telemetry &&
    one.clock === other.clock
  )
}
