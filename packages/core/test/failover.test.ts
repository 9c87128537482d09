import { describe, expect, it, vi } from 'vitest'
import type { ConnectionEvents, ConnectionState, RecoverContext } from '../src/index.js'
import { failover, UnavailableError } from '../src/index.js'
import { deferred, Emitter } from '../src/kit/index.js'

/** A connection whose state the test decides. */
class Weather {
  state: ConnectionState = 'up'
  autoResync = true
  readonly #events = new Emitter<ConnectionEvents>()

  on<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]) {
    return this.#events.on(event, listener)
  }

  fall(): void {
    this.state = 'down'
    this.#events.emit('down', { reason: 'the test said so' })
  }

  rise(): void {
    this.state = 'up'
    this.#events.emit('up', { downForMs: 1 })
  }

  resync(): void {
    this.#events.emit('resync')
  }

  close(): void {
    this.state = 'closed'
    this.#events.emit('close')
  }
}

interface Notes {
  add(note: string): Promise<number>
}

class Paper implements Notes {
  readonly notes: string[] = []
  refuse: Error | undefined

  async add(note: string): Promise<number> {
    if (this.refuse) throw this.refuse
    return this.notes.push(note)
  }
}

const gone = () => new UnavailableError('COMMAND_UNKNOWN', 'lost', 'unknown')

function setUp(
  options: {
    recover?: (context: RecoverContext<Notes>) => Promise<void>
    onOutage?: 'fallback' | 'throw'
    recoverTimeoutMs?: number
  } = {},
) {
  const redis = new Weather()
  const primary = new Paper()
  const fallback = new Paper()
  const pair = failover<Notes>(redis, { name: 'notes', primary, fallback, recoverJitterMs: 0, ...options })
  const add = (note: string) => pair.run((store) => store.add(note))
  return { redis, primary, fallback, pair, add }
}

describe('failover', () => {
  it('answers from Redis while it is up, and says so', async () => {
    const { add, primary } = setUp()
    expect(await add('a')).toEqual({ value: 1, source: 'redis' })
    expect(primary.notes).toEqual(['a'])
  })

  it('answers a call that finds Redis unavailable from memory at once', async () => {
    const { add, primary, fallback } = setUp()
    primary.refuse = gone()
    expect(await add('a')).toEqual({ value: 1, source: 'memory' })
    expect(fallback.notes).toEqual(['a'])
  })

  it.each(['OVERLOADED', 'CONNECTION_CLOSED'] as const)(
    'tells the caller of a limit or a close of our own (%s): that is no outage',
    async (code) => {
      const recover = vi.fn(async () => {})
      const { add, primary, fallback, pair } = setUp({ recover })
      primary.refuse = new UnavailableError(code, 'refused here', 'not-sent')
      await expect(add('a')).rejects.toBe(primary.refuse)
      expect(pair.state).toBe('primary')
      expect(fallback.notes).toEqual([])
      primary.refuse = undefined
      expect(await add('b')).toEqual({ value: 1, source: 'redis' })
      expect(recover).not.toHaveBeenCalled()
    },
  )

  it('answers from neither store once the connection is closed', async () => {
    const { add, redis, fallback } = setUp()
    redis.close()
    await expect(add('a')).rejects.toMatchObject({ code: 'CONNECTION_CLOSED', outcome: 'not-sent' })
    expect(fallback.notes).toEqual([])
  })

  it.each([
    [{ onOutage: 'shrug' }, /^onOutage: expected one of 'fallback', 'throw'/],
    [{ durability: 'forever' }, /^durability: expected one of 'durable', 'transient', 'disposable'/],
    [{ recovered: async () => {} }, /^recovered: expected no member .*did you mean 'recover'/],
    [{ name: '' }, /^name: expected/],
  ])('refuses %j', (wrong, message) => {
    expect(() => setUp(wrong as object)).toThrow(message)
  })

  it("gives every other error to the caller, since memory can't know better", async () => {
    const { add, primary, fallback } = setUp()
    primary.refuse = new TypeError('a bug')
    await expect(add('a')).rejects.toThrow('a bug')
    expect(fallback.notes).toEqual([])
  })

  it('does not ask Redis again before recovery has run, once', async () => {
    const recover = vi.fn(async () => {})
    const { add, redis, pair } = setUp({ recover })
    redis.fall()
    expect((await add('a')).source).toBe('memory')
    redis.rise()
    expect((await add('b')).source).toBe('memory')
    await expect.poll(() => pair.state).toBe('primary')
    expect(recover).toHaveBeenCalledTimes(1)
    expect((await add('c')).source).toBe('redis')
  })

  it('recovers too when a single call was answered from memory while the connection stayed up', async () => {
    const recover = vi.fn(async () => {})
    const { add, primary, pair } = setUp({ recover })
    primary.refuse = gone()
    await add('a')
    expect(pair.state).toBe('fallback')
    primary.refuse = undefined
    await expect.poll(() => pair.state).toBe('primary')
    expect(recover).toHaveBeenCalledTimes(1)
  })

  it('starts recovery again when Redis goes away in the middle of it', async () => {
    let calls = 0
    let release = () => {}
    const recover = async () => {
      calls++
      if (calls === 1) await new Promise<void>((resolve) => (release = resolve))
    }
    const { add, redis, pair } = setUp({ recover })
    redis.fall()
    redis.rise()
    await expect.poll(() => pair.state).toBe('recovering')
    redis.fall()
    release()
    await expect.poll(() => pair.state).toBe('fallback')
    expect((await add('a')).source).toBe('memory')
    redis.rise()
    await expect.poll(() => pair.state).toBe('primary')
    expect(calls).toBe(2)
  })

  it('lets calls wait for the end of recovery where it asks for that, however it ends', async () => {
    const ends = [deferred(), deferred()]
    let tries = 0
    const recover = async ({ holdCalls }: RecoverContext<Notes>) => {
      const end = ends[tries++]
      holdCalls()
      await end?.promise
    }
    const { add, redis, pair } = setUp({ recover })
    redis.fall()
    redis.rise()
    await expect.poll(() => tries).toBe(1)
    const first = add('a')
    ends[0]?.reject(new Error('not yet'))
    expect((await first).source).toBe('memory')
    await expect.poll(() => tries).toBe(2)
    const second = [add('b'), add('c')]
    ends[1]?.resolve()
    expect((await Promise.all(second)).map(({ source }) => source)).toEqual(['redis', 'redis'])
    expect(pair.state).toBe('primary')
  })

  it('gives a recovery that makes progress the time that it needs, and no more once calls wait', async () => {
    vi.useFakeTimers()
    try {
      let context: RecoverContext<Notes> | undefined
      const end = deferred()
      const recover = (given: RecoverContext<Notes>) => {
        context ??= given
        return end.promise
      }
      const { redis, pair } = setUp({ recover, recoverTimeoutMs: 1_000 })
      redis.fall()
      redis.rise()
      await expect.poll(() => pair.state).toBe('recovering')
      for (let part = 0; part < 5; part++) {
        await vi.advanceTimersByTimeAsync(900)
        context?.progress()
      }
      expect(pair.state).toBe('recovering')
      context?.holdCalls()
      await vi.advanceTimersByTimeAsync(900)
      context?.progress()
      await vi.advanceTimersByTimeAsync(200)
      expect(context?.signal.aborted).toBe(true)
    } finally {
      vi.useRealTimers()
    }
  })

  it('tries again, with pauses, when recovery fails', async () => {
    const recover = vi.fn(async () => {})
    recover.mockRejectedValueOnce(new Error('not yet'))
    const { redis, pair } = setUp({ recover })
    redis.fall()
    redis.rise()
    await expect.poll(() => pair.state).toBe('primary')
    expect(recover).toHaveBeenCalledTimes(2)
  })

  it('waits for resync() where automatic recovery is off', async () => {
    const recover = vi.fn(async () => {})
    const { redis, pair } = setUp({ recover })
    redis.autoResync = false
    redis.fall()
    redis.rise()
    await new Promise((resolve) => setImmediate(resolve))
    expect(pair.state).toBe('fallback')
    redis.resync()
    await expect.poll(() => pair.state).toBe('primary')
    expect(recover).toHaveBeenCalledTimes(1)
  })

  it('gives callers the error instead, when they asked for that', async () => {
    const { add, redis, fallback } = setUp({ onOutage: 'throw' })
    redis.fall()
    await expect(add('a')).rejects.toMatchObject({ code: 'CONNECTION_DOWN', outcome: 'not-sent' })
    expect(fallback.notes).toEqual([])
  })

  it('refuses a raw client, which is not a connection', () => {
    const client = { on() {}, sendCommand() {} } as unknown as Weather
    expect(() => failover<Notes>(client, { name: 'notes', fallback: new Paper() })).toThrow(
      /^redis: expected a connection/,
    )
  })

  it('lives in memory alone where there is no Redis', async () => {
    const fallback = new Paper()
    const pair = failover<Notes>(undefined, { name: 'notes', fallback })
    expect(await pair.run((store) => store.add('a'))).toEqual({ value: 1, source: 'memory' })
  })
})
