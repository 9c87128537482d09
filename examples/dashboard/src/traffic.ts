import { ask, chatJob, type Reply, seeded } from '@evenkeel/example-gateway/parts'
import OpenAI from 'openai'
import type { User } from './users.js'

/** The number of different questions; a few of them are asked again and again. */
const questions = 400
const tokensOfAnswer = 24
/** After so many turns a user begins another conversation. */
const turnsOfTalk = 12

/** Sends the users' requests with OpenAI's client until it is stopped. No client retries, so every failure shows. */
export class Traffic {
  readonly #baseUrl: string
  readonly #onReply: (user: User, reply: Reply) => void
  readonly #random = seeded(7)
  readonly #timers = new Set<NodeJS.Timeout>()
  #isStopped = false

  constructor(baseUrl: string, users: readonly User[], onReply: (user: User, reply: Reply) => void) {
    this.#baseUrl = baseUrl
    this.#onReply = onReply
    for (const user of users) this.#begin(user)
  }

  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #begin(user: User): void {
    const client = new OpenAI({
      apiKey: user.apiKey,
      baseURL: `${this.#baseUrl}/v1`,
      maxRetries: 0,
      timeout: 60_000,
    })
    let count = 0
    const next = () => {
      // With exponential pauses, the requests arrive as a Poisson process.
      this.#after((-Math.log(1 - this.#random()) / user.rate) * 1_000, () => {
        if (user.talks) void this.#turn(user, client, count++).finally(next)
        else {
          void this.#question(user, client)
          next()
        }
      })
    }
    next()
  }

  async #question(user: User, client: OpenAI): Promise<void> {
    // Zipf's law, roughly: the k-th most frequent question comes 1/k as often as the first.
    const rank = Math.floor(Math.exp(this.#random() * Math.log(questions)))
    await this.#send(user, client, `Question ${rank}: what keeps ship number ${rank} on an even keel?`)
  }

  async #turn(user: User, client: OpenAI, count: number): Promise<void> {
    const talk = Math.floor(count / turnsOfTalk)
    const prompt = `Turn ${count % turnsOfTalk}: and what did you say before that?`
    await this.#send(user, client, prompt, { 'x-conversation-id': `${user.name}-${talk}` })
  }

  async #send(
    user: User,
    client: OpenAI,
    prompt: string,
    headers: Record<string, string> = {},
  ): Promise<void> {
    const job = chatJob(0, user.name, prompt, tokensOfAnswer, this.#random() < 0.5)
    const reply = await ask(client, job, [{ role: 'user', content: prompt }], headers)
    if (!this.#isStopped) this.#onReply(user, reply)
  }

  #after(ms: number, then: () => void): void {
    if (this.#isStopped) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      then()
    }, ms)
    this.#timers.add(timer)
  }
}
