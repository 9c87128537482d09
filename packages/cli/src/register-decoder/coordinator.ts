import { setTimeout as pause } from 'node:timers/promises'
import { retryAfterMs } from '@evenkeel/core/kit'
import { CommandError, exitCodes } from '../exit-codes.js'
import type { Flags } from './flags.js'
import type { Registered } from './registered.js'

/** Answers that refuse this node or its token. Registering it in another way would circumvent the refusal. */
const refusals = new Set([400, 401, 403, 409, 413, 422])
/** Answers that may change later. */
const busy = new Set([408, 425, 429, 503])
const maxAttempts = 4
/** Pause between attempts, if the answer does not give one. */
const retryMs = 250

interface Answer {
  readonly error?: string
  readonly node?: { readonly id?: string }
}

/** Registers through a coordinator's API. @throws CommandError for a refusal */
export async function byApi(base: string, flags: Flags): Promise<Registered> {
  const register = () => ask(base, flags, 'POST', '/api/v1/register', flags.node)
  const { node: known } = await register()
  const id = known?.id
  if (id === undefined) throw new Error('the coordinator did not say under which id')
  return {
    way: 'api',
    id,
    renew: async () => void (await register()),
    deregister: async () =>
      void (await ask(base, flags, 'DELETE', `/api/v1/unregister/${encodeURIComponent(id)}`)),
    close: async () => {},
  }
}

/** All attempts together take at most the timeout of one step. */
async function ask(
  base: string,
  flags: Flags,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const { coordinatorToken, timeoutMs } = flags
  const until = performance.now() + timeoutMs
  const signal = AbortSignal.timeout(timeoutMs)
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        ...(coordinatorToken === undefined ? {} : { authorization: `Bearer ${coordinatorToken}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    })
    const answer = (await response.json().catch(() => ({}))) as Answer
    if (response.ok) return answer
    const { status } = response
    if (refusals.has(status)) {
      const code = status === 401 || status === 403 ? exitCodes.unreachable : exitCodes.usage
      throw new CommandError(code, `the coordinator refused: ${status} ${answer.error ?? ''}`.trim())
    }
    const waitMs = retryAfterMs(response.headers, Date.now()) ?? retryMs * attempt
    if (!busy.has(status) || attempt >= maxAttempts || performance.now() + waitMs > until) {
      throw new Error(`${status} from the coordinator ${answer.error ?? ''}`.trim())
    }
    await pause(waitMs)
  }
}
