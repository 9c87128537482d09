import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Caller, ClientPort, Send } from '../src/clients/port.js'
import { replicatedClient } from '../src/clients/replicated.js'
import type { ClientProvider, ProviderEvents } from '../src/topology/provider.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

describe('reads beside replicas', () => {
  it('come back to a replica that was slow once', async () => {
    const primary = node('primary', 5)
    const replica = node('replica', 1)
    const read = reading('nearest', primary, replica)
    expect(await times(20, read)).toContain('replica')
    replica.takesMs = 50
    await times(5, read)
    replica.takesMs = 1
    expect(new Set(await times(20, read))).toEqual(new Set(['primary']))
    vi.advanceTimersByTime(60_000)
    const later = await times(20, read)
    expect(later.filter((name) => name === 'replica').length).toBeGreaterThan(10)
  })

  it.each([
    ['nearest', 'LOADING Redis is loading the dataset in memory'],
    ['replica', 'MASTERDOWN Link with MASTER is down'],
    ['replica', 'NOAUTH Authentication required.'],
    ['replica', 'Socket closed unexpectedly'],
  ] as const)("of '%s' leave a replica alone for a second that answers %j", async (readFrom, refusal) => {
    const primary = node('primary', 5)
    const replica = node('replica', 1)
    replica.refusal = refusal
    const read = reading(readFrom, primary, replica)
    expect(new Set(await times(20, read))).toEqual(new Set(['primary']))
    expect(replica.asked).toBeLessThanOrEqual(1)
    replica.refusal = undefined
    vi.advanceTimersByTime(60_000)
    expect(await times(20, read)).toContain('replica')
  })

  it('show the caller what the primary would answer too', async () => {
    const primary = node('primary', 5)
    const replica = node('replica', 1)
    replica.refusal = 'WRONGTYPE Operation against a key holding the wrong kind of value'
    await expect(reading('replica', primary, replica)()).rejects.toThrow('WRONGTYPE')
    expect(primary.asked).toBe(0)
  })

  it('tell each node that is asked who waits, since a client sends nothing for a caller who has left', async () => {
    const primary = node('primary', 5)
    const replica = node('replica', 1)
    replica.refusal = 'Socket closed unexpectedly'
    const caller: Caller = { settled: false }
    await reading('replica', primary, replica)(caller)
    expect([...replica.callers, ...primary.callers]).toEqual([caller, caller])
  })

  it('do not leave a replica for a script that it does not know yet', async () => {
    const primary = node('primary', 5)
    const replica = node('replica', 1)
    const read = reading('replica', primary, replica)
    replica.refusal = 'NOSCRIPT No matching script'
    expect(await read()).toBe('primary')
    replica.refusal = undefined
    expect(await read()).toBe('replica')
  })
})

class FakeNode {
  asked = 0
  readonly callers: (Caller | undefined)[] = []
  refusal: string | undefined

  constructor(
    readonly name: string,
    public takesMs: number,
  ) {}

  readonly client = {
    send: (async (_args, _options, caller) => {
      this.asked++
      this.callers.push(caller)
      if (this.refusal !== undefined) throw new Error(this.refusal)
      vi.advanceTimersByTime(this.takesMs)
      return this.name
    }) satisfies Send,
  } as unknown as ClientPort
}

function node(name: string, takesMs: number): FakeNode {
  return new FakeNode(name, takesMs)
}

function reading(readFrom: 'replica' | 'nearest', primary: FakeNode, replica: FakeNode) {
  const provider = {
    start: async ({ ready }: ProviderEvents) => ready(replica.client),
  } as unknown as ClientProvider
  const client = replicatedClient(primary.client, [provider], readFrom, 100)
  return (caller?: Caller) => client.send(['GET', 'k'], { readOnly: true }, caller)
}

async function times<T>(count: number, call: () => Promise<T>): Promise<readonly T[]> {
  const results: T[] = []
  for (let done = 0; done < count; done++) results.push(await call())
  return results
}
