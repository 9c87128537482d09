import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { forkWorker } from '../tooling/fork-worker.js'
import type { Outcome, Task } from './worker.js'

export interface Provider extends AsyncDisposable {
  readonly url: string
  /** The names of the callers, in order. */
  readonly callers: string[]
  /** What was sent to each call. */
  readonly answers: string[]
}

export interface ProviderOptions {
  /** Each call gets a different answer, as from a real provider. */
  readonly isNewEachTime: boolean
  readonly events: number
  readonly everyMs: number
  /** Called after half of the events of the first call; the other half waits for its promise. */
  readonly onHalfWay?: (caller: string) => Promise<void>
}

/** A chat provider that streams, and records its callers. */
export async function startProvider(options: ProviderOptions): Promise<Provider> {
  const provider = { callers: [] as string[], answers: [] as string[] }
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    const caller = String(request.headers['x-worker'])
    const call = provider.callers.push(caller) - 1
    const id = options.isNewEachTime ? `call-${call}` : 'call'
    provider.answers[call] = ''
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = async (own: object | string) => {
      const event = `data: ${typeof own === 'string' ? own : JSON.stringify(own)}\n\n`
      provider.answers[call] += event
      response.write(event)
      await new Promise((resolve) => setTimeout(resolve, options.everyMs))
    }
    const chunk = (delta: object, finish_reason: string | null) => ({
      id,
      object: 'chat.completion.chunk',
      created: 1,
      model: 'm',
      choices: [{ index: 0, delta, finish_reason }],
    })
    for (let event = 0; event < options.events && !response.destroyed; event++) {
      await send(chunk({ content: `wörd ${event} ` }, null))
      if (call === 0 && event === Math.floor(options.events / 2)) await options.onHalfWay?.(caller)
    }
    if (response.destroyed) return
    await send(chunk({}, 'stop'))
    await send('[DONE]')
    response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    ...provider,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/chat/completions`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const workerFile = fileURLToPath(new URL('worker.ts', import.meta.url))

export class Worker implements AsyncDisposable {
  readonly name: string
  /** Resolves when the process has loaded its modules. */
  readonly ready: Promise<void>
  readonly #child: ChildProcess

  constructor(name: string) {
    this.name = name
    this.#child = forkWorker(workerFile)
    this.ready = this.#says('ready')
  }

  /** Resolves when the process has received the beginning of an answer. */
  reading(): Promise<void> {
    return this.#says('reading')
  }

  /** `undefined` if the process died before the end. */
  run(task: Omit<Task, 'name'>): Promise<Outcome | undefined> {
    return new Promise((resolve) => {
      this.#child.on('message', (message) => {
        if (typeof message === 'object') resolve(message as Outcome)
      })
      this.#child.once('exit', () => resolve(undefined))
      this.#child.send({ ...task, name: this.name })
    })
  }

  #says(word: string): Promise<void> {
    return new Promise((resolve) => {
      this.#child.on('message', (message) => {
        if (message === word) resolve()
      })
    })
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
