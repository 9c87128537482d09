import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { GatewayProcess } from './processes.js'

export interface Answered {
  /** Milliseconds from the request for a connection to the end of the answer. */
  readonly ms: number
  readonly status: number
}

/** Sends one request over a new connection, as a reloaded page does. `undefined`: the caller left, or got no answer. */
export function askAlone(
  { url, headers }: GatewayProcess,
  {
    path,
    body,
    leaveAfterMs,
  }: { readonly path: string; readonly body?: string; readonly leaveAfterMs: number },
): Promise<Answered | undefined> {
  const { port, hostname } = new URL(url)
  const began = performance.now()
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname)
    let status = 0
    let received = ''
    const over = (answer: Answered | undefined) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => over(undefined), leaveAfterMs)
    const lines = [
      `${body === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1`,
      `host: ${hostname}:${port}`,
      'connection: close',
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
      ...(body === undefined
        ? []
        : [
            'content-type: application/json',
            'authorization: Bearer bench',
            `content-length: ${Buffer.byteLength(body)}`,
          ]),
    ]
    socket.on('connect', () => socket.write(`${lines.join('\r\n')}\r\n\r\n${body ?? ''}`))
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text
      status ||= Number(/^HTTP\/1.1 (\d{3})/.exec(received)?.[1] ?? 0)
    })
    socket.on('end', () => over(status === 0 ? undefined : { ms: performance.now() - began, status }))
    socket.on('error', () => over(undefined))
  })
}

/** Requests a gateway's health over new connections until `stop()`, which gives the longest time in milliseconds. */
export function watchHealth(gateway: GatewayProcess, path: string) {
  const times: number[] = []
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      const began = performance.now()
      await askAlone(gateway, { path, leaveAfterMs: 30_000 })
      times.push(performance.now() - began)
      await pause(50)
    }
  })()
  return {
    async stop(): Promise<number> {
      isOver = true
      await watching
      return Math.max(...times)
    },
  }
}

/** A retry storm: callers leave at a random time within `withinMs`, and call again at once. Counts both outcomes. */
export async function leavingCallers(
  gateway: GatewayProcess,
  options: { readonly count: number; readonly withinMs: number; readonly forMs: number; body(): string },
): Promise<{ readonly left: number; readonly answered: number }> {
  const until = performance.now() + options.forMs
  let left = 0
  let answered = 0
  const caller = async () => {
    while (performance.now() < until) {
      const answer = await askAlone(gateway, {
        path: '/v1/chat/completions',
        body: options.body(),
        leaveAfterMs: Math.random() * options.withinMs,
      })
      if (answer === undefined) left++
      else answered++
    }
  }
  await Promise.all(Array.from({ length: options.count }, caller))
  return { left, answered }
}

export interface Storm {
  readonly perSecond: number
  readonly forMs: number
  /** A caller gives up after this long, and tries again up to `retries` times. */
  readonly patienceMs: number
  readonly retries: number
  body(): string
}

/** An open loop: callers arrive at a fixed rate. Gives the answers in time per second, and the number of 503s. */
export async function storm(
  gateway: GatewayProcess,
  options: Storm,
): Promise<{ readonly goodput: number; readonly shed: number }> {
  const { perSecond, forMs, patienceMs, retries, body } = options
  const began = performance.now()
  const callers: Promise<void>[] = []
  let good = 0
  let shed = 0
  const caller = async () => {
    const text = body()
    for (let attempt = 0; attempt <= retries; attempt++) {
      const answer = await askAlone(gateway, {
        path: '/v1/chat/completions',
        body: text,
        leaveAfterMs: patienceMs,
      })
      if (answer?.status === 200) {
        good++
        return
      }
      // A caller that got a 503 waits before it retries; one without an answer retries at once.
      if (answer?.status === 503) {
        shed++
        await pause(1_000)
      }
    }
  }
  for (let sent = 0; performance.now() - began < forMs; ) {
    const due = ((performance.now() - began) / 1_000) * perSecond
    for (; sent < due; sent++) callers.push(caller())
    await pause(5)
  }
  const ms = performance.now() - began
  await Promise.all(callers)
  return { goodput: (good * 1_000) / ms, shed }
}
