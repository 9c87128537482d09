import { untilAborted } from '../../kit/until-aborted.js'
import { asServersError } from './errors.js'
import type { GlideClass, GlideClient } from './module.js'

/** No attempt of the library can be stopped; what comes of one after its end is closed. */
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
