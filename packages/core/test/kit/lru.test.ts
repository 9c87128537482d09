import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteBoundedLru, ManualClock } from '../../src/index.js'

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
