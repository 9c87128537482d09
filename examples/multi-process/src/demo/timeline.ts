import type { Admission, Report } from '../limit.js'

/** What all processes did, ordered by when it happened, not by when they reported it. */
export class Timeline {
  readonly #admissions: Admission[][]
  readonly #deniedAtMs: number[] = []
  readonly #byMemoryAtMs: number[] = []
  failed = 0

  constructor(processes: number) {
    this.#admissions = Array.from({ length: processes }, () => [])
  }

  add(process: number, { admissions, deniedAtMs, byMemoryAtMs, failed }: Report): void {
    this.#admissions[process]?.push(...admissions)
    this.#deniedAtMs.push(...deniedAtMs)
    this.#byMemoryAtMs.push(...byMemoryAtMs)
    this.failed += failed
  }

  between(fromMs: number, toMs: number) {
    const isInside = (atMs: number) => atMs >= fromMs && atMs < toMs
    return {
      admitted: this.#admissions.map((own) => own.filter(({ answeredMs }) => isInside(answeredMs)).length),
      denied: this.#deniedAtMs.filter(isInside).length,
      byMemory: this.#byMemoryAtMs.filter(isInside).length,
    }
  }

  /**
   * The largest number of requests that were certainly admitted within any one second: sent after it began and answered
   * before it ended.
   */
  mostInSecond(concerns: (fromMs: number) => boolean = () => true): number {
    const all = this.#admissions.flat().sort((one, other) => one.sentMs - other.sentMs)
    let most = 0
    for (const [index, { sentMs }] of all.entries()) {
      if (!concerns(sentMs)) continue
      let count = 0
      for (let next = index; (all[next]?.sentMs ?? Number.POSITIVE_INFINITY) < sentMs + 1_000; next++) {
        // Redis counts whole milliseconds, so its second may be one shorter.
        if ((all[next]?.answeredMs ?? 0) <= sentMs + 999) count++
      }
      most = Math.max(most, count)
    }
    return most
  }
}
