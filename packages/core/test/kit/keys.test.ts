import { slotOf } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkSubject, createKeyspace, escapeGlob } from '../../src/kit/index.js'

describe('keys', () => {
  const keys = createKeyspace('evenkeel:', 'rate-limiter')

  it('promise 9: carry the namespace, and a hash tag that all keys of a subject share', () => {
    expect(keys.key('user:42')).toBe('evenkeel:rate-limiter:{user:42}')
    expect(keys.key('user:42', 'requests', 'costs')).toBe('evenkeel:rate-limiter:{user:42}:requests:costs')
  })

  it('promise 9: keep every subject in one slot, and no two subjects in one key', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'binary' }), fc.string({ minLength: 1 }), (one, other) => {
        expect(slotOf(keys.key(one, 'a'))).toBe(slotOf(keys.key(one, 'b')))
        if (one !== other) expect(keys.key(one)).not.toBe(keys.key(other))
      }),
    )
    expect(slotOf(keys.key('}x{', 'a'))).toBe(slotOf(keys.key('}x{', 'b')))
    expect(keys.key('a}b')).not.toBe(keys.key('a%7Db'))
  })

  it('are read back as the subject that they were made of', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'binary' }), (subject) => {
        expect(keys.subjectOf(keys.key(subject, 'a', 'b'), 'a', 'b')).toBe(subject)
        expect(keys.subjectOf(keys.key(subject))).toBe(subject)
        expect(keys.subjectOf(keys.key(subject, 'a'), 'b')).toBeUndefined()
        expect(keys.subjectOf(keys.key(subject, 'a'))).toBeUndefined()
      }),
    )
    for (const tag of ['%7B', '%257D', '%', '}:a', '{']) {
      expect(keys.subjectOf(keys.key(tag, 'a'), 'a')).toBe(tag)
    }
    expect(keys.subjectOf('another:rate-limiter:{a}:b', 'b')).toBeUndefined()
    expect(keys.subjectOf('evenkeel:rate-limiter:{a}{b}:c', 'c')).toBeUndefined()
  })

  it('match only what they name', () => {
    expect(createKeyspace('a*b:', 'c').pattern('x?')).toBe('a\\*b:c:x\\?*')
    expect(escapeGlob('[a]\\')).toBe('\\[a\\]\\\\')
  })

  it('refuse subjects that are no names', () => {
    for (const wrong of ['', 'x'.repeat(5_000), 7, null, undefined, {}, '\ud800']) {
      expect(() => checkSubject('subject', wrong)).toThrow(/^subject: expected well-formed text/)
    }
  })
})
