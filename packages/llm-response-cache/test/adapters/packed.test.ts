import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pack, unpack } from '../../src/adapters/ai-sdk/packed.js'

it('gives back what was packed: JSON, dates, bytes, URLs, and names that look like its own', () => {
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array(),
    fc.webUrl().map((url) => new URL(url)),
    fc.bigInt(),
  )
  const name = fc.oneof(
    fc.string().filter((key) => key !== '__proto__'),
    fc.constantFrom('$date', '$url', '$bytes', '$object', '$bigint'),
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }))
  fc.assert(
    fc.property(value, (made) => {
      expect(unpack(pack(made))).toEqual(made)
    }),
  )
})
