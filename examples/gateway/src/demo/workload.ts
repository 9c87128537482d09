/** One request of a workload. */
export interface Job {
  readonly kind: 'chat' | 'embedding'
  /** Milliseconds after the start at which it is sent, whatever became of those before it. */
  readonly atMs: number
  readonly user: string
  readonly prompt: string
  readonly maxTokens: number
  readonly stream: boolean
  /** Of a conversation: sent when the turn before it has ended. */
  readonly turn: Turn | undefined
}

export interface Turn {
  readonly conversation: number
  readonly number: number
}

export interface Workload {
  readonly name: string
  readonly jobs: readonly Job[]
}

/** Who asks for more than a limit allows. */
export const greedyUser = 'greedy'
/** Who belongs to another organisation, and asks what everybody asks. */
export const stranger = 'stranger'
/** Requests a minute that the gateway grants each API key. */
export const requestsPerMinute = 60
/** Tokens of an answer, where no trace says otherwise. */
const answerTokens = 24
/** What one of the other users asks at most: less than its share of the limit in an outage. */
const requestsPerUser = 20
/** The greedy user's requests all come within a minute, or the limit would not stop them. */
const maxGreedyMs = 40_000
const conversations = { count: 6, turns: 6 }
const embeddings = 20

export function apiKeyOf(user: string): string {
  return `demo-${user}`
}

/** Users of one organisation share answers. */
export function organisationOf(user: string): string {
  return user === stranger ? 'elsewhere' : 'demo'
}

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
 * then many ask the same thing at the same moment.
 */
export function ownWorkload(requests: number, greedyRequests: number): Workload {
  const random = seeded(42)
  const durationMs = Math.max(4_000, requests * 15)
  const jobs: Job[] = []
  while (jobs.length < requests) {
    const atMs = random() * durationMs
    // Zipf's law, roughly: the k-th most frequent question comes 1/k as often as the first.
    const rank = Math.floor(Math.exp(random() * Math.log(requests)))
    const burst = random() < 0.05 ? 8 : 1
    for (let count = 0; count < burst && jobs.length < requests; count++) {
      jobs.push(chatJob(atMs, userOf(jobs.length, requests), question(rank), answerTokens, random() < 0.5))
    }
  }
  return withCompany(`${requests} requests of its own`, jobs, greedyRequests, durationMs)
}

/** Adds what every demo shows, spread over its time: a user who asks too much, conversations, embeddings. */
export function withCompany(
  name: string,
  jobs: readonly Job[],
  greedyRequests: number,
  durationMs: number,
): Workload {
  const company = [
    ...greedy(greedyRequests, durationMs),
    ...talks(durationMs),
    ...embeds(durationMs),
    ...strangers(durationMs),
  ]
  return {
    name: `${name}, ${conversations.count} conversations, ${embeddings} embeddings, a user who asks too much, one of another organisation`,
    jobs: [...jobs, ...company].sort((one, other) => one.atMs - other.atMs),
  }
}

export function chatJob(atMs: number, user: string, prompt: string, maxTokens: number, stream: boolean): Job {
  return { kind: 'chat', atMs, user, prompt, maxTokens, stream, turn: undefined }
}

export function userOf(index: number, requests: number): string {
  return `user-${index % Math.ceil(requests / requestsPerUser)}`
}

function greedy(count: number, durationMs: number): Job[] {
  const spread = Math.min(durationMs * 0.9, maxGreedyMs)
  return Array.from({ length: count }, (_, index) =>
    chatJob((index / count) * spread, greedyUser, question(1 + (index % 10)), answerTokens, false),
  )
}

function talks(durationMs: number): Job[] {
  const { count, turns } = conversations
  return Array.from({ length: count * turns }, (_, index): Job => {
    const conversation = index % count
    const number = Math.floor(index / count)
    const atMs = ((number + conversation / count) / turns) * durationMs
    const prompt = `Turn ${number} of talk ${conversation}: and what did you say before that?`
    const job = chatJob(atMs, `talker-${conversation}`, prompt, answerTokens, number % 2 === 1)
    return { ...job, turn: { conversation, number } }
  })
}

function embeds(durationMs: number): Job[] {
  return Array.from({ length: embeddings }, (_, index) => ({
    ...chatJob((index / embeddings) * durationMs, 'indexer', `Text ${index % 10} to embed`, 0, false),
    kind: 'embedding' as const,
  }))
}

/** Each of the most frequent questions once, when others have had it answered. */
function strangers(durationMs: number): Job[] {
  return [1, 2, 3].map((rank) =>
    chatJob(durationMs * (0.5 + rank / 10), stranger, question(rank), answerTokens, false),
  )
}

function question(rank: number): string {
  return `Question ${rank}: how does the keel of ship number ${rank} keep it level when the wind turns?`
}
