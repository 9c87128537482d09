/** Shared by all processes: at most so many requests in any second. */
export const requestsPerSecond = 200

/** What a process did since its last report. */
export interface Report {
  readonly admitted: number
  readonly denied: number
  readonly byMemory: number
  readonly failed: number
}
