import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import OpenAI from 'openai'
import type { Member } from './fleet.js'
import type { Random } from './random.js'

export const organisations = ['acme', 'borg', 'corp'] as const
/** API keys of each of them; beside them there is one that asks for more than its limit. */
export const keysEach = 40
export type Kind = 'json' | 'stream' | 'embedding' | 'turn' | 'leaving' | 'slow' | 'bad' | 'large'

/** One request, and what came of it. */
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
  /** What it was answered. */
  text: string | undefined
  /** What it should have been answered. */
  readonly expected: string | undefined
  error: string | undefined
}

const kinds: readonly Kind[] = [
  ...Array.from({ length: 6 }, () => 'json' as const),
  ...Array.from({ length: 5 }, () => 'stream' as const),
  ...(['embedding', 'embedding', 'turn', 'turn', 'leaving', 'leaving', 'slow', 'bad', 'large'] as const),
]
/** Beyond this every call has ended, by the longest wait for a place on a decoder and what retries take. */
export const deadlineMs = 45_000
const questions = 60

export function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex')
}

/** Asks until it is told to stop; every call is in the history. */
export async function ask(
  gateways: readonly Member[],
  random: Random,
  history: Call[],
  isOver: () => boolean,
): Promise<void> {
  let turn = 0
  while (!isOver()) {
    const kind = random.of(kinds)
    const organisation = random.next() < 0.08 ? 'limited' : random.of(organisations)
    const gateway = random.of(gateways)
    const prompt =
      kind === 'turn' ? `turn ${turn++}` : `question ${Math.floor(questions * random.next() ** 2)} of all`
    const call: Call = {
      ...{ kind, organisation, prompt, gateway, sentAt: performance.now(), endedAt: Number.NaN },
      ...{ status: 0, cache: undefined, text: undefined, error: undefined },
      expected: expectedOf(kind, prompt),
    }
    history.push(call)
    await make(call, random)
    call.endedAt = performance.now()
    await pause(random.between(0, 60))
  }
}

function expectedOf(kind: Kind, prompt: string): string | undefined {
  if (kind === 'bad' || kind === 'large' || kind === 'turn') return undefined
  if (kind === 'embedding') return digestOf(prompt)
  return digestOf([['user', prompt]])
}

async function make(call: Call, random: Random): Promise<void> {
  const { kind, organisation, prompt, gateway } = call
  const apiKey = organisation === 'limited' ? 'limited' : `${organisation}-${random.below(keysEach)}`
  const leaving = new AbortController()
  const client = new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0, timeout: 2 * deadlineMs })
  const chat = {
    model: 'm',
    messages: [{ role: 'user' as const, content: prompt }],
    max_tokens: 64,
    temperature: 0,
  }
  const answered = ({ status, headers }: Response) => {
    call.status = status
    call.cache = headers.get('x-evenkeel-cache') ?? undefined
  }
  const timer = kind === 'leaving' ? setTimeout(() => leaving.abort(), random.between(0, 80)) : undefined
  try {
    if (kind === 'bad' || kind === 'large') {
      const body =
        kind === 'bad'
          ? random.of(['{', '{"messages":7}', '{"model":"m","messages":[]}'])
          : 'x'.repeat(2_000_000)
      const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
        ...{ method: 'POST', body, signal: AbortSignal.timeout(2 * deadlineMs) },
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
    const headers = kind === 'turn' ? { 'x-conversation-id': `talk-${random.below(50)}` } : {}
    const options = { signal: leaving.signal, headers }
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

/** With what is behind it: a client's own error says "Connection error" alone. */
function errorText(error: unknown): string {
  const texts: string[] = []
  for (let at = error; at instanceof Error && texts.length < 5; at = at.cause) texts.push(at.message)
  return texts.length === 0 ? String(error) : texts.join(', for ')
}
