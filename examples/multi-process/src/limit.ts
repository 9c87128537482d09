/** The limit that all processes share, for any period of one second. */
export const requestsPerSecond = 200

/** An admitted request. It was admitted at some moment between these two times, which are those of `machineMs`. */
export interface Admission {
  readonly sentMs: number
  readonly answeredMs: number
}

/** What a process did since its last report. */
export interface Report {
  readonly admissions: readonly Admission[]
  /** When the denied calls were answered. */
  readonly deniedAtMs: readonly number[]
  readonly byMemoryAtMs: readonly number[]
  readonly failed: number
}

/** A monotonic clock that all processes of the machine share. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1_000_000
}
