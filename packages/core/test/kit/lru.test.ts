import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock, MemoryKeyValueStore } from '../../src/index.js'
import { ByteBoundedLru } from '../../src/kit/index.js'

const sizeOf = (value: string) => value.length

describe('promise 5: the byte-bounded LRU', () => {
  it('never holds more entries or bytes than its bounds, and counts exactly what it holds', () => {
    const step = fc.record({ key: fc.nat(40), size: fc.nat(600), remove: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const lru = new ByteBoundedLru<string>({ maxEntries: 20, maxBytes: 5_000, sizeOf })
        for (const { key, size, remove } of steps) {
          if (remove) lru.delete(`${key}`)
          else lru.set(`${key}`, 'x'.repeat(size))
          expect(lru.size).toBeLessThanOrEqual(20)
          expect(lru.bytes).toBeLessThanOrEqual(5_000)
          const held = [...lru.entries()].reduce(
            (sum, [name, value]) => sum + name.length + value.length + 100,
            0,
          )
          expect(lru.bytes).toBe(held)
        }
      }),
    )
  })

  it('forgets nothing within its bounds, whatever is read, written and removed in whatever order', () => {
    const step = fc.record({
      key: fc.nat(19),
      action: fc.constantFrom('set', 'get', 'peek', 'delete', 'list', 'pass'),
      size: fc.nat(100),
      ttlMs: fc.constantFrom(50, 500, Number.POSITIVE_INFINITY),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const clock = new ManualClock()
        // 20 entries of at most 100 bytes, 2 of key, 100 of overhead: all fit.
        const lru = new ByteBoundedLru<string>({ maxEntries: 20, maxBytes: 20 * 202, sizeOf, clock })
        const model = new Map<string, { value: string; endsAt: number }>()
        const live = () => [...model].filter(([, { endsAt }]) => endsAt > clock.monotonic())
        for (const { key, action, size, ttlMs } of steps) {
          const name = `${key}`
          const known = model.get(name)
          const expected = known && known.endsAt > clock.monotonic() ? known.value : undefined
          if (action === 'set') {
            expect(lru.set(name, 'x'.repeat(size), ttlMs)).toBe(true)
            model.set(name, { value: 'x'.repeat(size), endsAt: clock.monotonic() + ttlMs })
          } else if (action === 'get') expect(lru.get(name)).toBe(expected)
          else if (action === 'peek') expect(lru.peek(name)).toBe(expected)
          else if (action === 'delete') {
            lru.delete(name)
            model.delete(name)
          } else if (action === 'pass') clock.advance(30)
          expect(new Map(lru.entries())).toEqual(new Map(live().map(([held, { value }]) => [held, value])))
          expect(lru.size).toBeGreaterThanOrEqual(live().length)
        }
      }),
    )
  })

  it('is full when it is beyond its bound: each new entry takes the place of one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 150 }),
        fc.array(fc.nat(400), { minLength: 1, maxLength: 600 }),
        (maxEntries, keys) => {
          const lru = new ByteBoundedLru<string>({ maxEntries, sizeOf })
          const written = new Set<number>()
          for (const key of keys) {
            const before = new Set([...lru.entries()].map(([held]) => held))
            lru.set(`${key}`, 'v')
            written.add(key)
            const after = new Set([...lru.entries()].map(([held]) => held))
            expect(after.size).toBe(Math.min(written.size, maxEntries))
            expect(after.has(`${key}`)).toBe(true)
            expect([...before].filter((held) => !after.has(held)).length).toBeLessThanOrEqual(1)
          }
        },
      ),
      { numRuns: 30 },
    )
  })

  it('forgets, when it must, no entry that was used after the last turn of its generations', () => {
    const lru = new ByteBoundedLru<string>({ maxEntries: 100, sizeOf })
    for (let index = 0; index < 100; index++) lru.set(`${index}`, 'v')
    for (let index = 50; index < 100; index++) lru.get(`${index}`)
    for (let index = 100; index < 150; index++) lru.set(`${index}`, 'v')
    const held = new Set([...lru.entries()].map(([key]) => Number(key)))
    expect(held).toEqual(new Set(Array.from({ length: 100 }, (_, index) => index + 50)))
  })

  it('costs as much for an entry when it is full of a hundred thousand as when it is full of a hundred', () => {
    /** Counts steps of iteration, which take the most time; a clock would also count what else the machine does. */
    const stepsOf = (maxEntries: number) => {
      const lru = new ByteBoundedLru<string>({ maxEntries, sizeOf, maxBytes: 1 << 30 })
      for (let index = 0; index < maxEntries; index++) lru.set(`${index}`, 'v')
      const next = Object.getPrototypeOf(new Map().keys()).next
      const iterator = Object.getPrototypeOf(new Map().keys())
      let steps = 0
      iterator.next = function (this: unknown, ...values: unknown[]) {
        steps++
        return next.apply(this, values)
      }
      try {
        for (let index = 0; index < 1_000; index++) {
          lru.set(`new ${index}`, 'v')
          lru.get(`${maxEntries - 1}`)
          expect(lru.size).toBe(maxEntries)
        }
      } finally {
        iterator.next = next
      }
      return steps / 1_000
    }
    expect(stepsOf(100_000)).toBeLessThanOrEqual(stepsOf(100) + 4)
  })

  it('holds for the key-value store in memory too: nothing within its bounds is lost by reading', async () => {
    const store = new MemoryKeyValueStore({ maxEntries: 100 })
    for (let index = 0; index < 100; index++) await store.set(`${index}`, 'v', { ttlMs: 60_000 })
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 100; index += round + 1)
        expect(await store.get(`${index}`)).toMatchObject({ value: 'v' })
    }
    expect(store.entries).toBe(100)
    await store.set('one more', 'v', { ttlMs: 60_000 })
    expect(store.entries).toBe(100)
  })

  it('forgets the oldest first, and keeps what is read again over the generations', () => {
    const lru = new ByteBoundedLru<string>({ maxEntries: 20, sizeOf })
    for (let index = 0; index < 200; index++) {
      lru.set(`${index}`, 'v')
      lru.set('read', lru.get('read') ?? 'v')
    }
    expect(lru.get('read')).toBe('v')
    expect(lru.get('0')).toBeUndefined()
    expect(lru.get('199')).toBe('v')
  })

  it('refuses a value that is larger than all it may hold, and drops what the key had', () => {
    const lru = new ByteBoundedLru<string>({ maxBytes: 500, sizeOf })
    expect(lru.set('k', 'small')).toBe(true)
    expect(lru.set('k', 'x'.repeat(1_000))).toBe(false)
    expect(lru.get('k')).toBeUndefined()
    expect(lru.bytes).toBe(0)
  })

  it('forgets entries past their time', () => {
    const clock = new ManualClock()
    const lru = new ByteBoundedLru<string>({ sizeOf, clock })
    lru.set('k', 'v', 100)
    clock.advance(99)
    expect(lru.get('k')).toBe('v')
    clock.advance(1)
    expect(lru.get('k')).toBeUndefined()
    expect(lru.size).toBe(0)
  })

  it.each([{ maxEntries: 0 }, { maxBytes: -1 }, { maxBytes: Number.NaN }])('refuses %j', (bounds) => {
    expect(() => new ByteBoundedLru<string>({ ...bounds, sizeOf })).toThrow(/expected a number from 1/)
  })
})
