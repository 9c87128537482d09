import { MessageTooLargeError, ThreadDeletedError } from '../errors.js'
import type { Message } from '../messages/message.js'
import type { Thread } from './thread.js'

/** Maximum number of messages of one append. */
const maxAtOnce = 1_000

/**
 * Appends any number of messages for an adapter, some at a time, unless the thread was deleted since
 * `ifGeneration`: then it stays deleted. Returns the thread's generation, as far as known.
 * @throws MessageTooLargeError that names the message; the others are stored
 */
export async function appendInParts(
  thread: Thread,
  messages: readonly Message[],
  ifGeneration: number | undefined,
): Promise<number | undefined> {
  let generation = ifGeneration
  let refused: MessageTooLargeError | undefined
  let rest = messages
  while (rest.length > 0) {
    const part = rest.slice(0, maxAtOnce)
    try {
      generation = (await thread.append(part, { ifGeneration: generation })).generation
      rest = rest.slice(maxAtOnce)
    } catch (error) {
      if (error instanceof ThreadDeletedError) return generation
      if (!(error instanceof MessageTooLargeError)) throw error
      refused ??= error
      const others = rest.filter(({ id }) => id !== error.id)
      if (others.length === rest.length) throw error
      rest = others
    }
  }
  if (refused !== undefined) throw refused
  return generation
}
