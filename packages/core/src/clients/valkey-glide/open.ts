import { untilAborted } from '../../kit/until-aborted.js'
import { asServersError } from './errors.js'
import type { GlideClass, GlideClient } from './module.js'

/** The library can't stop an attempt to connect; a client that arrives after `signal` aborted is closed. */
export async function create(glide: GlideClass, options: object, signal: AbortSignal): Promise<GlideClient> {
  const attempt = glide.createClient(options)
  const abandon = () => void attempt.then((client) => client.close(), ignore)
  try {
    return await untilAborted(attempt, signal, abandon)
  } catch (error) {
    throw asServersError(error)
  }
}

function ignore(): void {}
