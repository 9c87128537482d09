/** One request of a workload. */
export interface Job {
  /** Milliseconds after the start at which it is sent, whatever became of those before it. */
  readonly atMs: number
  readonly user: string
  readonly prompt: string
  readonly maxTokens: number
  readonly stream: boolean
}

export interface Workload {
  readonly name: string
  readonly jobs: readonly Job[]
  /** Who asks for more than a limit allows. */
  readonly greedyUser: string
  readonly greedyRequests: number
}

export const greedyUser = 'greedy'
/** Requests a minute that the gateway grants each API key. */
export const requestsPerMinute = 60

const users = 20

/** A generator that gives the same numbers for the same seed (Park and Miller's minimal standard). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

/**
 * Requests as a chat product has them: a few questions are asked again and again, most only once; now and
 * then many ask the same thing at the same moment; one user asks far too much.
 */
export function ownWorkload(requests: number): Workload {
  const random = seeded(42)
  const greedyRequests = requestsPerMinute + Math.max(10, Math.floor(requests / 20))
  const durationMs = Math.max(3_000, requests * 15)
  const jobs: Job[] = []
  while (jobs.length < requests) {
    const atMs = random() * durationMs
    // Zipf's law, roughly: the k-th most frequent question comes 1/k as often as the first.
    const rank = Math.floor(Math.exp(random() * Math.log(requests)))
    const burst = random() < 0.05 ? 8 : 1
    for (let count = 0; count < burst && jobs.length < requests; count++) {
      jobs.push(job(atMs, jobs.length, question(rank), 24, random() < 0.5))
    }
  }
  return {
    name: `${requests} requests of its own, and one user who asks too much`,
    ...withGreedy(jobs, greedyRequests, durationMs),
  }
}

/** Adds the user who asks for more than the limit allows, spread over the time. */
export function withGreedy(jobs: readonly Job[], greedyRequests: number, durationMs: number) {
  const greedy = Array.from({ length: greedyRequests }, (_, index): Job => {
    const atMs = (index / greedyRequests) * durationMs * 0.9
    return { atMs, user: greedyUser, prompt: question(1 + (index % 3)), maxTokens: 24, stream: false }
  })
  return {
    jobs: [...jobs, ...greedy].sort((one, other) => one.atMs - other.atMs),
    greedyUser,
    greedyRequests,
  }
}

export function job(atMs: number, index: number, prompt: string, maxTokens: number, stream: boolean): Job {
  return { atMs, user: `user-${index % users}`, prompt, maxTokens, stream }
}

function question(rank: number): string {
  return `Question ${rank}: how does the keel of ship number ${rank} keep it level when the wind turns?`
}
