import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { until } from '@evenkeel/test-servers'
import { forkWorker } from '../tooling/fork-worker.js'
import type { Done, Order } from './instance.js'

/** A call that the provider has received, and answers when the test says so. */
export interface HeldCall {
  readonly apiKey: string
  readonly prompt: string
  readonly stream: boolean
  /** It is answered, or its caller hung up. */
  readonly isOver: () => boolean
  /** Sends a part of a stream. */
  begin(text: string): void
  answer(text: string): void
  refuse(status: number): void
}

export interface HeldProvider extends AsyncDisposable {
  readonly url: string
  readonly calls: readonly HeldCall[]
  /** Waits until there have been `count` calls, and gives the last of them. */
  called(count: number): Promise<HeldCall>
  /** Counts from zero again. */
  forget(): void
}

const chunk = (content: string, finish_reason: string | null) =>
  `data: ${JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta: { content }, finish_reason }],
  })}\n\n`

function heldCall(
  asked: { model: string; stream: boolean; prompt: string },
  apiKey: string,
  response: ServerResponse,
): HeldCall {
  const stream = () => {
    if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
  }
  const message = (content: string) => ({
    id: 'c',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
  })
  const json = (status: number, body: object) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  return {
    apiKey,
    prompt: asked.prompt,
    stream: asked.stream,
    isOver: () => response.destroyed || response.writableEnded,
    begin: (text) => {
      stream()
      response.write(chunk(text, null))
    },
    answer: (text) => {
      if (!asked.stream) return void json(200, message(text))
      stream()
      response.end(`${chunk(text, null)}${chunk('', 'stop')}data: [DONE]\n\n`)
    },
    refuse: (status) => json(status, { error: { message: `refused for ${apiKey}` } }),
  }
}

export async function startHeldProvider(): Promise<HeldProvider> {
  const calls: HeldCall[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const part of request) text += String(part)
    const { stream, model, messages } = JSON.parse(text)
    const apiKey = String(request.headers.authorization).replace('Bearer ', '')
    calls.push(heldCall({ stream, model, prompt: messages[0].content }, apiKey, response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat/completions`,
    calls,
    forget: () => {
      calls.length = 0
    },
    called: async (count) => {
      await until(() => calls.length >= count, 50_000, { what: `the provider is called ${count} times` })
      const last = calls[count - 1]
      if (last === undefined) throw new Error('no call')
      return last
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** One process of a service. */
export class Instance implements AsyncDisposable {
  readonly ready: Promise<void>
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (done: Done) => void>()
  #count = 0

  constructor(redisUrl: string, providerUrl: string) {
    this.#child = forkWorker(fileURLToPath(new URL('instance.ts', import.meta.url)), [redisUrl, providerUrl])
    this.ready = new Promise((resolve) => {
      this.#child.on('message', (message: Done | 'ready') => {
        if (message === 'ready') resolve()
        else this.#waiting.get(message.number)?.(message)
      })
    })
  }

  /** Gives the order's number, which a later `leave` names, and its result. */
  order(order: Order): { readonly number: number; readonly done: Promise<Done> } {
    const number = this.#count++
    const done = new Promise<Done>((resolve) => this.#waiting.set(number, resolve))
    this.#child.send({ number, order })
    return { number, done }
  }

  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }
}
