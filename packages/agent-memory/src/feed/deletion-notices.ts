import { randomUUID } from 'node:crypto'
import type { Connection } from '@evenkeel/core'
import { createLog, listen, parseJson } from '@evenkeel/core/kit'

const log = createLog('agent-memory')

const channel = 'agent-memory:deletions'

/** What was deleted: a thread, or everything of an owner. */
export interface Deletion {
  readonly owner: string
  readonly thread?: string | undefined
}

/**
 * Tells other processes about deletions, so that in an outage they do not show deleted threads. A notice is delivered
 * at most once; a process that misses it learns of the deletion with its next read from Redis.
 */
export class DeletionNotices {
  readonly #redis: Connection
  /** Identifies this memory, which ignores notices of its own deletions. */
  readonly #origin = randomUUID()
  readonly #stopListening: () => Promise<void>

  constructor(redis: Connection, onDeleted: (deletion: Deletion) => void) {
    this.#redis = redis
    const heard = (message: string) => {
      const deletion = parse(message)
      if (deletion !== undefined && deletion.origin !== this.#origin) onDeleted(deletion)
    }
    this.#stopListening = listen(redis, channel, heard, {
      onError: (error) => log('deletions are not heard: %s', error),
    })
  }

  /** No caller waits for it. */
  tell({ owner, thread }: Deletion): void {
    const message = JSON.stringify([this.#origin, owner, thread ?? null])
    this.#redis.publish(channel, message).catch((error: unknown) => log('not told: %s', error))
  }

  close(): void {
    void this.#stopListening()
  }
}

function parse(message: string): (Deletion & { readonly origin: string }) | undefined {
  const said = parseJson(message)
  const [origin, owner, thread] = Array.isArray(said) ? (said as unknown[]) : []
  if (typeof origin !== 'string' || typeof owner !== 'string') return undefined
  return { origin, owner, ...(typeof thread === 'string' && { thread }) }
}
