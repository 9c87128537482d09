import { randomUUID } from 'node:crypto'
import type { Connection } from '@evenkeel/core'
import { createLog, isTextList, listen, parseJson } from '@evenkeel/core/kit'

const log = createLog('llm-response-cache')

/** What one instance tells the others to forget. */
export interface Invalidation {
  readonly tenant: string
  readonly versions: ReadonlyMap<string, string>
  readonly names: readonly string[]
  /** Calls under way for matching names store nothing. */
  readonly swept?: Sweep | undefined
}

/** For an invalidation of names alone. */
export const noVersions: ReadonlyMap<string, string> = new Map()

/** Names that match a glob, and only those of one model if one is given. */
export interface Sweep {
  readonly pattern: string
  readonly model?: string | undefined
}

/**
 * Tells other instances what to drop from their memory, and receives the same from them. Messages may be lost: then an
 * instance learns new versions with the next look-up of the tenant that reaches Redis, and everything else when its
 * copies are no longer trusted (`l1Ttl`).
 */
export class InvalidationBus {
  readonly #redis: Connection
  readonly #channel: string
  /** Marks this instance's own messages, which it ignores: it has dropped the entries already. */
  readonly #origin = randomUUID()
  /** Whether messages are received at the moment, as far as is known. */
  listening = false
  readonly #stopListening: () => Promise<void>

  constructor(
    redis: Connection,
    room: string,
    onHeard: (invalidation: Invalidation) => void,
    onGap: () => void,
  ) {
    this.#redis = redis
    this.#channel = `${room}:invalidations`
    const heard = (message: string) => {
      const invalidation = parse(message)
      if (invalidation === undefined) onGap()
      else if (invalidation.origin !== this.#origin) onHeard(invalidation)
    }
    const missed = () => {
      this.listening = true
      onGap()
    }
    this.#stopListening = listen(redis, this.#channel, heard, {
      onGap: missed,
      onListening: () => {
        this.listening = redis.state === 'up'
      },
      onError: (error) => log('invalidations are not heard: %s', error),
    })
  }

  /** One round trip, which no caller waits for. */
  tell({ tenant, versions, names, swept }: Invalidation): void {
    const message = JSON.stringify([this.#origin, tenant, [...versions], names, swept])
    this.#redis.publish(this.#channel, message).catch((error: unknown) => log('not told: %s', error))
  }

  close(): void {
    this.listening = false
    void this.#stopListening()
  }
}

function parse(message: string): (Invalidation & { readonly origin: string }) | undefined {
  const said = parseJson(message)
  const [origin, tenant, versions, names, swept] = Array.isArray(said) ? (said as unknown[]) : []
  if (typeof origin !== 'string' || typeof tenant !== 'string' || !isTextList(names)) return undefined
  if (!Array.isArray(versions) || !versions.every(isTextPair)) return undefined
  if (swept !== undefined && swept !== null && !isSweep(swept)) return undefined
  return { origin, tenant, versions: new Map(versions), names, swept: swept ?? undefined }
}

function isTextPair(value: unknown): value is [string, string] {
  return isTextList(value) && value.length === 2
}

function isSweep(value: unknown): value is Sweep {
  const { pattern, model } = value as Partial<Sweep>
  return typeof pattern === 'string' && (model === undefined || typeof model === 'string')
}
