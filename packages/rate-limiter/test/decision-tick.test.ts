import { UnavailableError } from '@evenkeel/core'
import { describe, expect, it } from 'vitest'
import type { PendingDecision } from '../src/decide/pending-decision.js'
import { DecisionTick } from '../src/decide/tick.js'

/** A tick with three requests whose calls fail: how many each call held, and the errors that the requests got. */
async function failing(errorOf: (requests: number) => Error) {
  const calls: number[] = []
  const errors: unknown[] = []
  const tick = new DecisionTick({
    send: async (requests) => {
      calls.push(requests.length)
      throw errorOf(requests.length)
    },
    answered: () => {},
  })
  const pending = { failed: (error: unknown) => errors.push(error) } as unknown as PendingDecision
  for (let count = 0; count < 3; count++) tick.add(pending)
  tick.flush()
  await new Promise((resolve) => setImmediate(resolve))
  return { calls, errors }
}

describe('requests of one turn, sent together', () => {
  it.each([
    new UnavailableError('COMMAND_UNKNOWN', 'EVALSHA lost its connection; it may have run', 'unknown'),
    new UnavailableError('OVERLOADED', '10000 commands are in flight already', 'not-sent'),
  ])('are not sent again after $code, which would charge or send them twice', async (error) => {
    const { calls, errors } = await failing(() => error)
    expect(calls).toEqual([3])
    expect(errors).toEqual([error, error, error])
  })

  it('are sent one by one after an error that one of them may have caused', async () => {
    const { calls, errors } = await failing((requests) => new Error(`WRONGTYPE in a call of ${requests}`))
    expect(calls).toEqual([3, 1, 1, 1])
    expect(errors).toHaveLength(3)
  })
})
