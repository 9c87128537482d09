import { entryKeyId } from '../stores/entry-key.js'
import type { EntryKey } from '../stores/port.js'
import type { Sweep } from './invalidation.js'

/** Beyond it a whole tenant is invalidated instead, which is always right and only costs hits. */
const maxDeletions = 10_000
/** Beyond it the oldest entry is not handed over; it stays a hit here. */
const maxWrites = 10_000
/** Beyond it the whole tenant is invalidated instead. */
const maxSweeps = 100

/** Beyond it the oldest are left to end by themselves. */
const maxLeases = 10_000

/** A lease in Redis of a call that ended while Redis was away. */
export interface OwedLease {
  readonly entryKey: EntryKey
  readonly generation: string
  /** How many records its log has. */
  readonly records: number
}

/** An answer that Redis does not have yet. */
export interface OutageWrite {
  readonly entryKey: EntryKey
  /** The key was deleted in the outage before this answer was stored, which Redis does not know either. */
  readonly isAfterDeletion: boolean
}

/** The changes of an outage, which Redis does not know yet. */
export class OutageChanges {
  readonly versions = new Map<string, Map<string, string>>()
  readonly deleted = new Map<string, EntryKey>()
  readonly written = new Map<string, OutageWrite>()
  readonly swept = new Map<string, Sweep & { readonly tenant: string }>()

  readonly leases = new Map<OwedLease, number>()

  noteLease(lease: OwedLease, at: number): void {
    const [oldest] = this.leases.keys()
    if (this.leases.size >= maxLeases && oldest !== undefined) this.leases.delete(oldest)
    this.leases.set(lease, at)
  }

  noteVersions(tenant: string, versions: ReadonlyMap<string, string>): void {
    const known = this.versions.get(tenant) ?? new Map<string, string>()
    for (const [name, value] of versions) known.set(name, value)
    this.versions.set(tenant, known)
  }

  /** Returns `false` if there is no room for it. */
  noteDeleted(entryKey: EntryKey): boolean {
    this.written.delete(entryKeyId(entryKey))
    if (this.deleted.size >= maxDeletions) return false
    this.deleted.set(entryKeyId(entryKey), entryKey)
    return true
  }

  /** Returns `false` if there is no room for it. */
  noteSwept(tenant: string, { pattern, model }: Sweep): boolean {
    if (this.swept.size >= maxSweeps) return false
    this.swept.set(JSON.stringify([tenant, pattern, model]), { tenant, pattern, model })
    return true
  }

  noteWritten(entryKey: EntryKey): void {
    const id = entryKeyId(entryKey)
    this.written.delete(id)
    const [oldest] = this.written.keys()
    if (this.written.size >= maxWrites && oldest !== undefined) this.written.delete(oldest)
    this.written.set(id, { entryKey, isAfterDeletion: this.deleted.has(id) })
  }

  hasWritten(entryKey: EntryKey): boolean {
    return this.written.size > 0 && this.written.has(entryKeyId(entryKey))
  }

  /** Forgets versions that Redis has by now, unless they were changed meanwhile. */
  settleVersions(tenant: string, versions: ReadonlyMap<string, string>): void {
    const known = this.versions.get(tenant)
    if (known === undefined) return
    for (const [name, value] of versions) if (known.get(name) === value) known.delete(name)
    if (known.size === 0) this.versions.delete(tenant)
  }
}
