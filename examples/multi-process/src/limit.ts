/** Shared by all processes: at most so many requests in any second. */
export const requestsPerSecond = 200

/** A request that was admitted. It was decided at some moment between the two, on the machine's one monotonic clock. */
export interface Admission {
  readonly sentMs: number
  readonly answeredMs: number
}

/** What a process did since its last report. */
export interface Report {
  readonly admissions: readonly Admission[]
  /** When the other calls were answered. */
  readonly deniedAtMs: readonly number[]
  readonly byMemoryAtMs: readonly number[]
  readonly failed: number
}

/** The same for all processes of a machine, and never set. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1_000_000
}
