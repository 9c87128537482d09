import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { claimPort, releasePort } from '@evenkeel/test-servers'
import { pinMeasured } from '../pinned.js'

/** A gateway in its own process; during its turn nothing else works on its core. */
export interface GatewayProcess {
  readonly name: string
  readonly url: string
  /** Sent in addition to the headers of every request. */
  readonly headers: Readonly<Record<string, string>>
  /** The kernel's count of its processor time, user and system, in microseconds. */
  cpuUs(): Promise<number>
  close(): Promise<void>
}

interface Recipe {
  readonly name: string
  readonly script: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** A path that answers with a status below 500 once the gateway serves. Default: `/health`. */
  readonly health?: string
}

const operatorToken = 'bench'
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Hono and the global fetch: what people write. */
export function startPassThrough(upstream: string): Promise<GatewayProcess> {
  const script = here('./pass-through.mjs')
  return start({ name: 'Hono, global fetch, passed through', script, env: { UPSTREAM: upstream } })
}

/** node:http and undici's request. */
export function startLimit(upstream: string): Promise<GatewayProcess> {
  return start({
    name: 'node:http, undici.request: the limit',
    script: here('./limit.mjs'),
    env: { UPSTREAM: upstream },
  })
}

/** Portkey's gateway, as published to npm. */
export function startPortkey(upstream: string): Promise<GatewayProcess> {
  const script = createRequire(import.meta.url).resolve('@portkey-ai/gateway/build/start-server.js')
  return start({
    name: '@portkey-ai/gateway',
    script,
    args: ['--headless'],
    health: '/',
    env: { TRUSTED_CUSTOM_HOSTS: 'localhost,127.0.0.1' },
    headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${upstream}/v1` },
  })
}

/** The built examples/gateway, with the provider as its only node. */
export async function startEvenkeel(
  name: string,
  upstream: string,
  env: Readonly<Record<string, string>> = {},
): Promise<GatewayProcess> {
  const gateway = await start({
    name,
    script: here('../../../examples/gateway/dist/gateway.js'),
    health: '/health/parts',
    env: {
      GATEWAY_API_KEYS: '*',
      GATEWAY_OPERATOR_TOKEN: operatorToken,
      GATEWAY_NODE_HOSTS: '127.0.0.1',
      GATEWAY_REQUESTS_PER_MINUTE: '1000000000',
      GATEWAY_TOKENS_PER_MINUTE: '1000000000000',
      ...env,
    },
  })
  const registered = await fetch(`${gateway.url}/api/v1/register`, {
    method: 'POST',
    headers: { authorization: `Bearer ${operatorToken}` },
    body: JSON.stringify({ id: 'provider', endpoint: upstream, capacity: 10_000 }),
  })
  if (!registered.ok) throw new Error(`${name}: the provider was not registered (${registered.status})`)
  return gateway
}

async function start({ name, script, args = [], env = {}, headers = {}, health = '/health' }: Recipe) {
  const port = await claimPort()
  const child = fork(script, [...args, `--port=${port}`], {
    env: { ...process.env, REDIS_URL: '', HOST: '127.0.0.1', PORT: String(port), ...env },
    execArgv: ['--import', here('./cpu.mjs')],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const url = `http://127.0.0.1:${port}`
  await serves(child, name, `${url}${health}`)
  if (child.pid !== undefined) pinMeasured(child.pid)
  return {
    name,
    url,
    headers,
    cpuUs: () => cpuOf(child),
    close: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit')
        child.kill('SIGKILL')
        await exited
      }
      releasePort(port)
    },
  } satisfies GatewayProcess
}

async function serves(child: ChildProcess, name: string, url: string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode} before it served`)
    try {
      const { status } = await fetch(url, { headers: { authorization: `Bearer ${operatorToken}` } })
      if (status < 500) return
    } catch {
      // It does not listen yet.
    }
    await pause(25)
  }
}

/** Called between two loads, when no request to the gateway is in flight. */
async function cpuOf(child: ChildProcess): Promise<number> {
  const told = new Promise<number>((resolve) => {
    const listen = (message: unknown) => {
      if (typeof message !== 'object' || message === null || !('cpu' in message)) return
      child.off('message', listen)
      const { user, system } = message.cpu as NodeJS.CpuUsage
      resolve(user + system)
    }
    child.on('message', listen)
  })
  child.send('cpu')
  return told
}
