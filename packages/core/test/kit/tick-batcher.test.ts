import { describe, expect, it, vi } from 'vitest'
import { deferred, TickBatcher } from '../../src/kit/index.js'

const double = async (requests: readonly number[]) => requests.map((request) => request * 2)

describe('a tick batcher', () => {
  it('sends what comes in one turn in one call, and answers each in its order', async () => {
    const send = vi.fn(double)
    const batcher = new TickBatcher({ max: 100, send })
    expect(await Promise.all([1, 2, 3].map((request) => batcher.add(request)))).toEqual([2, 4, 6])
    expect(await batcher.add(4)).toBe(8)
    expect(send.mock.calls).toEqual([[[1, 2, 3]], [[4]]])
  })

  it('takes what the answers of one call set off into one call again', async () => {
    const send = vi.fn(double)
    const batcher = new TickBatcher({ max: 100, send })
    await Promise.all([1, 2].map(async (request) => batcher.add(await batcher.add(request))))
    expect(send.mock.calls).toEqual([[[1, 2]], [[2, 4]]])
  })

  it('begins the next call at its bound', async () => {
    const send = vi.fn(double)
    const batcher = new TickBatcher({ max: 2, send })
    expect(await Promise.all([1, 2, 3, 4, 5].map((request) => batcher.add(request)))).toEqual([
      2, 4, 6, 8, 10,
    ])
    expect(send.mock.calls).toEqual([[[1, 2]], [[3, 4]], [[5]]])
  })

  it('sends at once when it is flushed, and nothing when nothing waits', async () => {
    const send = vi.fn(double)
    const batcher = new TickBatcher({ max: 100, send })
    batcher.flush()
    expect(send).not.toHaveBeenCalled()
    const answer = batcher.add(1)
    batcher.flush()
    expect(send).toHaveBeenCalledTimes(1)
    expect(await answer).toBe(2)
  })

  it('does not hold one call up for another that hangs', async () => {
    const hangs = deferred<number[]>()
    const send = vi.fn((requests: readonly number[]) =>
      requests[0] === 1 ? hangs.promise : double(requests),
    )
    const batcher = new TickBatcher({ max: 100, send })
    const first = batcher.add(1)
    await new Promise((resolve) => setImmediate(resolve))
    expect(await batcher.add(2)).toBe(4)
    hangs.resolve([2])
    expect(await first).toBe(2)
  })

  it.each([
    ['rejects', () => Promise.reject(new Error('lost'))],
    [
      'throws',
      () => {
        throw new Error('lost')
      },
    ],
  ])('rejects each request of a call that %s', async (_, send) => {
    const batcher = new TickBatcher<number, number>({ max: 100, send })
    const ends = await Promise.allSettled([batcher.add(1), batcher.add(2)])
    expect(ends.map((end) => end.status === 'rejected' && end.reason)).toEqual([
      new Error('lost'),
      new Error('lost'),
    ])
  })

  it('refuses an answer of another length, since it can not tell whose is missing', async () => {
    const batcher = new TickBatcher<number, number>({ max: 100, send: async () => [1] })
    await expect(Promise.all([batcher.add(1), batcher.add(2)])).rejects.toThrow(
      '2 requests were answered with 1 results',
    )
  })
})
