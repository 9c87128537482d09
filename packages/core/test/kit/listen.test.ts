import { expect, it, vi } from 'vitest'
import { deferred, listen, type SharedViewHost } from '../../src/kit/index.js'

type Subscribed = Awaited<ReturnType<SharedViewHost['subscribe']>>

/** A channel whose subscription the test makes or refuses, and whose messages it sends. */
function setUp() {
  const made = deferred<Subscribed>()
  const close = vi.fn(async () => {})
  let send: (message: string) => void = () => {}
  let miss = () => {}
  const redis: SharedViewHost = {
    subscribe: (name, handler, { onGap } = {}) => {
      send = (message) => handler(message, name)
      miss = () => onGap?.()
      return made.promise
    },
  }
  const handler = vi.fn()
  const events = { onGap: vi.fn(), onListening: vi.fn(), onError: vi.fn() }
  const stop = listen(redis, 'c', handler, events)
  const make = () => made.resolve({ close } as unknown as Subscribed)
  return {
    stop,
    handler,
    close,
    make,
    made,
    ...events,
    send: (message: string) => send(message),
    miss: () => miss(),
  }
}

it('hears messages and gaps, and says when the subscription is made', async () => {
  const { handler, make, send, miss, onGap, onListening, onError } = setUp()
  expect(onListening).not.toHaveBeenCalled()
  make()
  await expect.poll(() => onListening).toHaveBeenCalledOnce()
  send('a')
  miss()
  expect(handler.mock.calls).toEqual([['a', 'c']])
  expect(onGap).toHaveBeenCalledOnce()
  expect(onError).not.toHaveBeenCalled()
})

it('ends the subscription once, and hears nothing from the moment that it is stopped', async () => {
  const { stop, handler, close, make, send, miss, onGap } = setUp()
  make()
  const stopped = stop()
  send('late')
  miss()
  await stopped
  expect(close).toHaveBeenCalledOnce()
  expect(handler).not.toHaveBeenCalled()
  expect(onGap).not.toHaveBeenCalled()
})

it('ends a subscription that is still being made as soon as it is, without a word of it', async () => {
  const { stop, close, make, onListening, onError } = setUp()
  const stopped = stop()
  expect(close).not.toHaveBeenCalled()
  make()
  await stopped
  expect(close).toHaveBeenCalledOnce()
  expect(onListening).not.toHaveBeenCalled()
  expect(onError).not.toHaveBeenCalled()
})

it('reports a refusal and an end that fails, and rejects for neither', async () => {
  const refused = setUp()
  const refusal = new Error('NOPERM')
  refused.made.reject(refusal)
  await refused.stop()
  expect(refused.onError.mock.calls).toEqual([[refusal]])

  const failing = setUp()
  const failure = new Error('gone')
  failing.close.mockRejectedValueOnce(failure)
  failing.make()
  await failing.stop()
  expect(failing.onError.mock.calls).toEqual([[failure]])
})
