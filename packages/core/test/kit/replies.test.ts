import { describe, expect, it } from 'vitest'
import type { Reply } from '../../src/index.js'
import { integerOf, listOf, mapOf, okOf, pairsOf, textOf } from '../../src/kit/index.js'

/** What each reader accepts, and what it returns. */
const taken: [string, (reply: Reply) => unknown, Reply, unknown][] = [
  ['listOf', (reply) => listOf('C', reply), [1, null], [1, null]],
  ['listOf', (reply) => listOf('C', reply), [], []],
  ['integerOf', (reply) => integerOf('C', reply), 0, 0],
  ['integerOf', (reply) => integerOf('C', reply), '12', 12],
  ['integerOf', (reply) => integerOf('C', reply), '-7', -7],
  ['integerOf', (reply) => integerOf('C', reply), Buffer.from('12'), 12],
  ['textOf', (reply) => textOf('C', reply), '', ''],
  ['textOf', (reply) => textOf('C', reply), Buffer.from('ü'), 'ü'],
  ['textOf', (reply) => textOf('C', reply), null, undefined],
  ['okOf', (reply) => okOf('C', reply), 'OK', undefined],
  ['okOf', (reply) => okOf('C', reply), Buffer.from('OK'), undefined],
  [
    'pairsOf',
    (reply) => pairsOf('C', reply),
    ['a', 1, Buffer.from('b'), null],
    [
      ['a', 1],
      ['b', null],
    ],
  ],
  [
    'mapOf',
    (reply) => mapOf('C', reply),
    ['a', '1', 'b', ['x']],
    new Map<string, Reply>([
      ['a', '1'],
      ['b', ['x']],
    ]),
  ],
]

const refused: [string, (reply: Reply) => unknown, Reply[]][] = [
  ['listOf', (reply) => listOf('C', reply), ['QUEUED', null, 1, 'OK', Buffer.from('[]')]],
  [
    'integerOf',
    (reply) => integerOf('C', reply),
    [
      'QUEUED',
      'OK',
      null,
      '',
      ' 1',
      '1 ',
      '0x10',
      '1e3',
      '1.5',
      'Infinity',
      '9007199254740993',
      1.5,
      Number.NaN,
      [1],
      [],
    ],
  ],
  ['textOf', (reply) => textOf('C', reply), [1, ['a'], []]],
  ['okOf', (reply) => okOf('C', reply), ['QUEUED', null, 1, ['OK'], 'ok']],
  ['pairsOf', (reply) => pairsOf('C', reply), ['QUEUED', null, ['a'], ['a', 1, 'b']]],
  ['mapOf', (reply) => mapOf('C', reply), ['QUEUED', null, ['a']]],
]

describe('readers of replies', () => {
  it.each(taken)('%s reads the shapes that clients give', (_, read, reply, expected) => {
    expect(read(reply)).toEqual(expected)
  })

  it.each(refused)('%s refuses every other shape, and does not repeat it', (_, read, replies) => {
    for (const reply of replies) {
      expect(() => read(reply)).toThrow(
        expect.objectContaining({
          code: 'UNEXPECTED_REPLY',
          outcome: 'unknown',
          message: expect.stringMatching(/^C was not answered with (a list|an integer|text|OK|pairs)$/),
        }),
      )
    }
  })
})
