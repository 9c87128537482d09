import type { SlidingWindow } from '../options.js'
import type { Verdict } from './verdict.js'

/**
 * A slotted log. Each slot counts until its *last* charge has left the window, so every unit counts at
 * least as long as the window: at any admission the total covers all that was admitted within it, which is
 * the proof that no rolling window ever holds more than the limit. Memory is bounded by the slots.
 */
export interface SlidingWindowState {
  /** In order of time. */
  readonly slots: readonly Slot[]
  readonly total: number
}

interface Slot {
  /** In milliseconds, not counted: slots of two lengths stay in order when a limit or its share changes. */
  readonly startMs: number
  readonly lastChargeMs: number
  readonly cost: number
}

/** Up to this limit every millisecond is a slot of its own: an exact log. */
const exactUpTo = 128
/** Slots of a window above that; with it Redis keeps the sorted set in its compact form. */
const slotsPerWindow = 60

export const emptyWindow: SlidingWindowState = { slots: [], total: 0 }

export function slotMs({ limit, windowMs }: SlidingWindow): number {
  return limit <= exactUpTo ? 1 : Math.ceil(windowMs / slotsPerWindow)
}

/** Drops what has left the window. */
export function windowAt(
  state: SlidingWindowState,
  { windowMs }: SlidingWindow,
  now: number,
): SlidingWindowState {
  const live = state.slots.findIndex(({ lastChargeMs }) => lastChargeMs > now - windowMs)
  if (live === 0) return state
  if (live < 0) return emptyWindow
  const slots = state.slots.slice(live)
  return { slots, total: slots.reduce((sum, { cost }) => sum + cost, 0) }
}

/** Expects a state that {@link windowAt} has brought to `now`. */
export function judgeWindow(
  { slots, total }: SlidingWindowState,
  { limit, windowMs }: SlidingWindow,
  now: number,
  cost: number,
): Verdict {
  const allowed = total + cost <= limit
  const newestMs = slots.at(-1)?.lastChargeMs ?? now - windowMs
  const lastChargeMs = allowed && cost > 0 ? Math.max(newestMs, now) : newestMs
  const remaining = limit - total - (allowed ? cost : 0)
  const resetAtMs = lastChargeMs + windowMs
  if (allowed) return { allowed, remaining, retryAfterMs: 0, resetAtMs }
  let toFree = total + cost - limit
  const frees = slots.find((slot) => {
    toFree -= slot.cost
    return toFree <= 0
  })
  const freedAtMs = (frees?.lastChargeMs ?? now) + windowMs
  return { allowed, remaining: Math.max(0, remaining), retryAfterMs: freedAtMs - now, resetAtMs }
}

export function chargeWindow(
  state: SlidingWindowState,
  limit: SlidingWindow,
  now: number,
  cost: number,
): SlidingWindowState {
  const startMs = now - (now % slotMs(limit))
  const last = state.slots.at(-1)
  const total = state.total + cost
  // A clock that stepped back charges the newest slot, which only holds it longer.
  if (last === undefined || (last.startMs < startMs && last.lastChargeMs <= now)) {
    return { slots: [...state.slots, { startMs, lastChargeMs: now, cost }], total }
  }
  const lastChargeMs = Math.max(last.lastChargeMs, now)
  return { slots: [...state.slots.slice(0, -1), { ...last, lastChargeMs, cost: last.cost + cost }], total }
}
