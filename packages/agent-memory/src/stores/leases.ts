import type { LeaseRequest, LeaseResult } from './port.js'

interface Lease {
  readonly fence: number
  readonly holder: string
  readonly ends: number
}

/** The leases of a thread in this process, by the rules of scripts/thread/lease.lua. */
export class Leases {
  readonly #leases = new Map<string, Lease>()

  /** The highest fence of a run. */
  get fence(): number {
    return this.#leases.get('run')?.fence ?? 0
  }

  ask({ name, action, token, ms }: LeaseRequest, now: number): { result: LeaseResult; isNew: boolean } {
    const { fence, holder, ends } = this.#leases.get(name) ?? { fence: 0, holder: '', ends: 0 }
    const isMine = holder === token
    if (action === 'release') {
      if (isMine) this.#leases.set(name, { fence, holder: '', ends: 0 })
      return { result: { status: 'held', fence }, isNew: false }
    }
    if (!isMine && (ends > now || action === 'renew')) {
      return { result: { status: 'taken', ms: Math.max(0, ends - now) }, isNew: false }
    }
    const next = isMine ? fence : fence + 1
    this.#leases.set(name, { fence: next, holder: token, ends: now + ms })
    return { result: { status: 'held', fence: next }, isNew: !isMine }
  }
}
