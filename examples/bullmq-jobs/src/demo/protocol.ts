/** The settings of a worker process, passed in an environment variable. */
export interface WorkerEnvironment {
  readonly url: string
  readonly queue: string
  readonly baseURL: string
  readonly model: string
  readonly jobsPerSecond: number
  readonly workers: number
}

/** What a worker process reports ten times a second. */
export interface WorkerReport {
  readonly allowed: number
  readonly denied: number
  /** Decisions by memory, while Redis was down. */
  readonly byMemory: number
}

const variable = 'EVENKEEL_EXAMPLE_WORKER'

export function toEnvironment(given: WorkerEnvironment): NodeJS.ProcessEnv {
  return { [variable]: JSON.stringify(given) }
}

export function fromEnvironment(env: NodeJS.ProcessEnv): WorkerEnvironment {
  return JSON.parse(env[variable] ?? '{}') as WorkerEnvironment
}
