/** One request of a workload. */
export interface Job {
  readonly kind: 'chat' | 'embedding'
  /** When the request is sent, in milliseconds after the start, whether or not earlier ones were answered. */
  readonly atMs: number
  readonly user: string
  readonly prompt: string
  readonly maxTokens: number
  readonly stream: boolean
  /** The place in a conversation, if any. A turn is not sent before the previous one has ended. */
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

/** A user who asks for more than the limit allows. */
export const greedyUser = 'greedy'
/** A user of another organisation, who asks the most frequent questions. */
export const stranger = 'stranger'
/** The user who asks questions twice, after all others. */
export const repeater = 'repeater'
/** The gateway's limit for each API key. */
export const requestsPerMinute = 60
/** The length of an answer, unless a trace gives one. */
const answerTokens = 24
/** The most requests of any other user. In an outage this is below the share of the limit that one gateway grants. */
const requestsPerUser = 20
/** The greedy user sends all requests within a minute; over a longer time the limit would not stop them. */
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
 * Requests as a chat product gets them: a few questions are asked again and again, and most only once. Now and then
 * many users ask the same question at the same moment.
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

/** Adds the requests of the greedy user, conversations, embeddings and the stranger, spread over the run. */
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

/** Questions that nobody else asks; they have no word in common, so that none is taken for another. */
export function repeats(): readonly Job[] {
  const questions = [
    'keel depth',
    'harbour lights',
    'tide tables',
    'sail area',
    'wind force',
    'river stage',
    'rope length',
  ]
  return questions.map((question) => chatJob(0, repeater, question, 4 * answerTokens, false))
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

/** The three most frequent questions, once each, in the second half, when the other organisation has asked them. */
function strangers(durationMs: number): Job[] {
  return [1, 2, 3].map((rank) =>
    chatJob(durationMs * (0.5 + rank / 10), stranger, question(rank), answerTokens, false),
  )
}

function question(rank: number): string {
  return `Question ${rank}: how does the keel of ship number ${rank} keep it level when the wind turns?`
}
