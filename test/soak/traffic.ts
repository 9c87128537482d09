import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import OpenAI from 'openai'
import type { Member } from './fleet.js'
import type { Random } from './random.js'

export const organisations = ['acme', 'borg', 'corp'] as const
/** API keys of each organisation; another organisation, `limited`, asks for more than its limit. */
export const keysEach = 40
export type Kind = 'json' | 'stream' | 'embedding' | 'turn' | 'leaving' | 'slow' | 'bad' | 'large'

/** One request and its result. */
export interface Call {
  readonly kind: Kind
  readonly organisation: string
  readonly prompt: string
  readonly gateway: Member
  readonly sentAt: number
  endedAt: number
  status: number
  /** `hit`, `miss` … as the gateway says. */
  cache: string | undefined
  /** The answer. */
  text: string | undefined
  /** The right answer. */
  readonly expected: string | undefined
  /** Of a turn: which conversation it is part of. */
  readonly conversation: string | undefined
  /** `whole`, `stale` or `partial`: what the gateway says of the conversation that it knew. */
  history: string | undefined
  error: string | undefined
}

const everyKind: readonly Kind[] = [
  ...Array.from({ length: 6 }, () => 'json' as const),
  ...Array.from({ length: 5 }, () => 'stream' as const),
  ...(['embedding', 'embedding', 'turn', 'turn', 'leaving', 'leaving', 'slow', 'bad', 'large'] as const),
]
/** By then every call has ended: it covers the longest wait for a slot of a decoder, and retries. */
export const deadlineMs = 45_000
const questions = 60
/** After so many turns a new conversation begins, so that the window contains all turns of one. */
const turnsEach = 20

export function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}

/** A caller that sends requests of all kinds to any gateway, and takes turns in a conversation. */
export class Caller {
  readonly #gateways: readonly Member[]
  readonly #random: Random
  readonly #history: Call[]
  readonly #name: string
  readonly #kinds: readonly Kind[]
  #turns = 0

  /** @param history every call is added to it */
  constructor(
    name: string,
    gateways: readonly Member[],
    random: Random,
    history: Call[],
    kinds: readonly Kind[] = everyKind,
  ) {
    this.#kinds = kinds
    this.#name = name
    this.#gateways = gateways
    this.#random = random
    this.#history = history
  }

  async askUntil(isOver: () => boolean): Promise<void> {
    const random = this.#random
    while (!isOver()) {
      const kind = random.of(this.#kinds)
      if (kind === 'turn') await this.takeTurn()
      else {
        const organisation = random.next() < 0.08 ? 'limited' : random.of(organisations)
        const prompt = `question ${Math.floor(questions * random.next() ** 2)} of all`
        await this.#make({ kind, organisation, prompt, expected: expectedOf(kind, prompt) })
      }
      await pause(random.between(0, 60))
    }
  }

  /** Says the next thing in its conversation, at any gateway. */
  takeTurn(): Promise<void> {
    const turn = this.#turns++
    return this.#make({
      kind: 'turn',
      organisation: organisations[0],
      prompt: `turn ${turn}`,
      expected: undefined,
      conversation: `${this.#name}-${Math.floor(turn / turnsEach)}`,
    })
  }

  async #make(asked: Asked): Promise<void> {
    const call: Call = {
      conversation: undefined,
      gateway: this.#random.of(this.#gateways),
      sentAt: performance.now(),
      endedAt: Number.NaN,
      status: 0,
      cache: undefined,
      text: undefined,
      history: undefined,
      error: undefined,
      ...asked,
    }
    this.#history.push(call)
    await make(call, this.#random)
    call.endedAt = performance.now()
  }
}

type Asked = Pick<Call, 'kind' | 'organisation' | 'prompt' | 'expected'> & Partial<Pick<Call, 'conversation'>>

function expectedOf(kind: Kind, prompt: string): string | undefined {
  if (kind === 'bad' || kind === 'large') return undefined
  if (kind === 'embedding') return digestOf(prompt)
  return digestOf([['user', prompt]])
}

async function make(call: Call, random: Random): Promise<void> {
  const { kind, organisation, prompt, gateway, conversation } = call
  const apiKey =
    organisation === 'limited'
      ? 'limited'
      : `${organisation}-${keyOf(conversation) ?? random.below(keysEach)}`
  const leaving = new AbortController()
  const client = new OpenAI({
    apiKey,
    baseURL: `${gateway.url}/v1`,
    maxRetries: 0,
    timeout: 2 * deadlineMs,
    defaultHeaders: gateway.headers,
  })
  const chat = {
    model: 'm',
    messages: [{ role: 'user' as const, content: prompt }],
    max_tokens: 64,
    temperature: 0,
  }
  const answered = ({ status, headers }: Response) => {
    call.status = status
    call.cache = headers.get('x-evenkeel-cache') ?? undefined
    call.history = headers.get('x-evenkeel-history') ?? undefined
  }
  const timer = kind === 'leaving' ? setTimeout(() => leaving.abort(), random.between(0, 80)) : undefined
  try {
    if (kind === 'bad' || kind === 'large') {
      const body =
        kind === 'bad'
          ? random.of(['{', '{"messages":7}', '{"model":"m","messages":[]}'])
          : 'x'.repeat(2_000_000)
      const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        body,
        signal: AbortSignal.timeout(2 * deadlineMs),
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      })
      answered(answer)
      await answer.text()
      return
    }
    if (kind === 'embedding') {
      const { data, response } = await client.embeddings
        .create({ model: 'e', input: prompt, encoding_format: 'float' })
        .withResponse()
      answered(response)
      call.text = Buffer.from(data.data[0]?.embedding ?? []).toString('hex')
      return
    }
    const inConversation = conversation !== undefined && {
      // A retry of the client is the same turn. The SDK's option idempotencyKey sends no header.
      headers: { 'x-conversation-id': conversation, 'idempotency-key': `${conversation}-${prompt}` },
      maxRetries: 2,
    }
    const options = { signal: leaving.signal, ...inConversation }
    if (kind === 'json' || kind === 'leaving' || kind === 'turn') {
      const { data, response } = await client.chat.completions.create(chat, options).withResponse()
      answered(response)
      call.text = data.choices[0]?.message.content ?? ''
      return
    }
    const { data, response } = await client.chat.completions
      .create({ ...chat, stream: true }, options)
      .withResponse()
    answered(response)
    let text = ''
    for await (const { choices } of data) {
      text += choices[0]?.delta.content ?? ''
      if (kind === 'slow') await pause(random.between(0, 40))
      if (choices[0]?.finish_reason) call.text = text
    }
    if (call.text === undefined) call.error = 'the stream was cut without a word'
  } catch (error) {
    if (error instanceof OpenAI.APIError && error.status !== undefined) call.status = error.status
    call.error = leaving.signal.aborted ? 'left' : errorText(error)
  } finally {
    clearTimeout(timer)
  }
}

/** Each conversation belongs to one API key. */
function keyOf(conversation: string | undefined): number | undefined {
  if (conversation === undefined) return undefined
  return Number.parseInt(digestOf(conversation).slice(0, 6), 16) % keysEach
}

/** The messages of the error and its causes: the client's own error only says "Connection error". */
function errorText(error: unknown): string {
  const texts: string[] = []
  for (let at = error; at instanceof Error && texts.length < 5; at = at.cause) texts.push(at.message)
  return texts.length === 0 ? String(error) : texts.join(', for ')
}
