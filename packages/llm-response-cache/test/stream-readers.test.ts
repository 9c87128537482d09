import { expect, it } from 'vitest'
import { createResponseCache } from '../src/index.js'
import { chatCall, chatStream, chatUrl, fakeProvider, sse } from './fake.js'

it('a stream is kept as it came, whatever its reader does with what it was given', async () => {
  const provider = fakeProvider(() => sse(...chatStream('one two').split(/(?<=\n\n)/)))
  const cache = createResponseCache()
  const call = chatCall('hi', {}, { stream: true })
  const fetch = cache.fetch({ fetch: provider.fetch })
  for await (const chunk of (await fetch(chatUrl, call)).body ?? []) {
    // As byte streams do with chunks that are passed to them.
    structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] })
  }
  await expect.poll(() => cache.stats().stored).toBe(1)
  expect(await (await fetch(chatUrl, call)).text()).toBe(chatStream('one two'))
  expect(provider.calls).toHaveLength(1)
  await cache.close()
})
