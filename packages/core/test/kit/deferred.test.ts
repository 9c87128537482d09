import { describe, expect, it } from 'vitest'
import { deferred } from '../../src/kit/index.js'

describe('a deferred promise', () => {
  it('is settled from outside, by its first end alone', async () => {
    const answered = deferred<number>()
    answered.resolve(1)
    answered.resolve(2)
    answered.reject(new Error('too late'))
    expect(await answered.promise).toBe(1)
  })

  it('rejects with the error that it is given', async () => {
    const failed = deferred()
    const error = new Error('no')
    failed.reject(error)
    await expect(failed.promise).rejects.toBe(error)
  })
})
