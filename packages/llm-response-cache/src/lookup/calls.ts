import { type EntryKey, entryKeyId, entryKeyPrefix } from '../stores/entry-key.js'
import type { SharedCall } from './shared-call.js'

type AnyCall = SharedCall<unknown>

interface Tracked {
  readonly entryKey: EntryKey
  readonly model: string
  /** Where newcomers find the call; `undefined` for a call of one caller alone. */
  readonly slot: string | undefined
}

/**
 * The calls of one cache that are under way in this process: those that newcomers may join by their slots, and all
 * of them by their entries, so that an answer whose entry is deleted meanwhile is not stored.
 */
export class Calls {
  readonly #slots = new Map<string, AnyCall>()
  readonly #all = new Map<string, Map<AnyCall, Tracked>>()

  get(slot: string): AnyCall | undefined {
    return this.#slots.get(slot)
  }

  add(call: AnyCall, tracked: Tracked): void {
    const id = entryKeyId(tracked.entryKey)
    const calls = this.#all.get(id) ?? new Map<AnyCall, Tracked>()
    this.#all.set(id, calls.set(call, tracked))
    if (tracked.slot !== undefined) this.#slots.set(tracked.slot, call)
  }

  /** Removes a call that is over or of no use to newcomers; another call in its slot stays. May be called again. */
  delete(call: AnyCall, { entryKey, slot }: Tracked): void {
    this.#leaveSlot(call, slot)
    const id = entryKeyId(entryKey)
    const calls = this.#all.get(id)
    calls?.delete(call)
    if (calls?.size === 0) this.#all.delete(id)
  }

  *values(): Iterable<AnyCall> {
    for (const calls of this.#all.values()) yield* calls.keys()
  }

  /** Voids the calls of a deleted entry: no newcomer joins them, and their answers are not stored. */
  void(entryKey: EntryKey): void {
    for (const [call, tracked] of this.#all.get(entryKeyId(entryKey)) ?? []) this.#void(call, tracked)
  }

  /** {@link void} for all calls of a tenant whose names and models match. */
  voidMatching(tenant: string, matches: (name: string, model: string) => boolean): void {
    const prefix = entryKeyPrefix(tenant)
    for (const [id, calls] of this.#all) {
      if (!id.startsWith(prefix)) continue
      for (const [call, tracked] of calls) {
        if (matches(tracked.entryKey.name, tracked.model)) this.#void(call, tracked)
      }
    }
  }

  #void(call: AnyCall, { slot }: Tracked): void {
    call.isVoid = true
    this.#leaveSlot(call, slot)
  }

  #leaveSlot(call: AnyCall, slot: string | undefined): void {
    if (slot !== undefined && this.#slots.get(slot) === call) this.#slots.delete(slot)
  }
}
