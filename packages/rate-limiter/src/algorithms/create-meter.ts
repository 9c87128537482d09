import type { Limit } from '../limits.js'
import { SlotMeter } from './concurrency.js'
import { CounterMeter } from './fixed-window.js'
import type { Meter } from './meter.js'
import { WindowMeter } from './sliding-window.js'
import { BucketMeter } from './token-bucket.js'

/** An empty meter of a limit's kind. */
export function createMeter({ kind }: Limit): Meter {
  switch (kind) {
    case 'sliding-window':
      return new WindowMeter()
    case 'fixed-window':
      return new CounterMeter()
    case 'token-bucket':
      return new BucketMeter()
    case 'concurrency':
      return new SlotMeter()
  }
}
