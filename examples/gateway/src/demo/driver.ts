import OpenAI from 'openai'
import type { Said } from '../decoder/text.js'
import { ask, type Reply } from './ask.js'
import { Schedule } from './schedule.js'
import { apiKeyOf, type Job, repeats } from './workload.js'

export interface Result extends Reply {
  readonly job: Job
  /** Which of the servers was asked. */
  readonly server: number
  /** The earlier messages of the conversation, with their answers. Empty if the job belongs to no conversation. */
  readonly before: readonly Said[]
}

export interface DriveOptions {
  readonly urls: readonly string[]
  /** Where conversations are kept: at the gateway, or at the client, which sends all of it each time. */
  readonly memory: 'gateway' | 'client'
  /** Whether a conversation stays at one server. */
  readonly sticky: boolean
  /** @default one that begins now */
  readonly schedule?: Schedule
  readonly onProgress: (done: number, total: number) => void
}

/**
 * Sends every job at its time, whether or not earlier ones have been answered, so that a slow server does not lighten
 * the load; only the turns of a conversation wait for each other. Servers take turns. No client retries, so every
 * failure shows.
 */
export async function drive(jobs: readonly Job[], options: DriveOptions): Promise<readonly Result[]> {
  const { urls, memory, sticky, schedule = new Schedule(), onProgress } = options
  const clientOf = openaiClients()
  const talks = new Map<number, Promise<readonly Said[]>>()
  let done = 0

  async function send(job: Job, index: number, earlier: Promise<readonly Said[]> | undefined) {
    await schedule.reach(job.atMs)
    const before = (await earlier) ?? []
    const server = serverOf(job, index, urls.length, sticky)
    const client = clientOf(job.user, urls[server] ?? '')
    const messages = memory === 'client' ? [...before, asked(job)] : [asked(job)]
    const reply = await ask(client, job, messages, conversationHeaders(job, memory))
    onProgress(++done, jobs.length)
    return { ...reply, job, server, before }
  }

  return Promise.all(
    jobs.map((job, index) => {
      const { turn } = job
      const result = send(job, index, turn && talks.get(turn.conversation))
      if (turn) talks.set(turn.conversation, result.then(saidAfter))
      return result
    }),
  )
}

/** One question, asked twice in a row. */
export interface Repeat {
  readonly first: Result
  readonly second: Result
}

/** Asks new questions twice each, one after the other, while nobody else asks: first a call, then an answer kept. */
export async function askTwice(url: string): Promise<readonly Repeat[]> {
  const pairs: Repeat[] = []
  for (const job of repeats()) {
    const answered = async () => {
      const options = { urls: [url], memory: 'gateway', sticky: true, onProgress: () => {} } as const
      const [result] = await drive([job], options)
      if (result === undefined) throw new Error('A request has no result')
      return result
    }
    pairs.push({ first: await answered(), second: await answered() })
  }
  return pairs
}

export function asked({ prompt }: Job): Said {
  return { role: 'user', content: prompt }
}

/** A refused turn is not kept; a failed one is, without an answer. */
function saidAfter({ before, job, status, text }: Result): readonly Said[] {
  if (status === 'refused') return before
  const answer = status === 'answered' ? [{ role: 'assistant', content: text }] : []
  return [...before, asked(job), ...answer]
}

function serverOf({ turn }: Job, index: number, count: number, sticky: boolean): number {
  if (turn === undefined) return index % count
  return (turn.conversation + (sticky ? 0 : turn.number)) % count
}

function conversationHeaders({ turn }: Job, memory: DriveOptions['memory']): Record<string, string> {
  return turn === undefined || memory === 'client' ? {} : { 'x-conversation-id': `talk-${turn.conversation}` }
}

/** Each user has a client of its own for each server. */
function openaiClients(): (user: string, url: string) => OpenAI {
  const clients = new Map<string, OpenAI>()
  return (user, url) => {
    const key = `${user} ${url}`
    const known = clients.get(key)
    if (known !== undefined) return known
    const client = new OpenAI({
      apiKey: apiKeyOf(user),
      baseURL: `${url}/v1`,
      maxRetries: 0,
      timeout: 60_000,
    })
    clients.set(key, client)
    return client
  }
}
