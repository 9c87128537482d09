import { describe, expect, it } from 'vitest'
import { bufferedResponse } from '../src/fetch/buffered-response.js'
import { createResponseCache } from '../src/index.js'
import { chatCall, chatStream, chatUrl, fakeProvider, sse } from './fake.js'

const bytes = Buffer.from('\uFEFF{"told":"ü"}')
const make = (init: ResponseInit = { status: 201, headers: { 'content-type': 'application/json' } }) =>
  bufferedResponse(bytes, init, 'https://api.example.com/v1')

describe('a response whose body is there already', () => {
  it('is one like any other, however it is read', async () => {
    const response = make()
    expect(response).toBeInstanceOf(Response)
    expect([response.status, response.ok, response.url, response.bodyUsed]).toEqual([
      ...[201, true, 'https://api.example.com/v1', false],
    ])
    // As of fetch: without the byte order mark as text, with it as bytes.
    expect(await make().json()).toEqual({ told: 'ü' })
    expect(await make().text()).toBe('{"told":"ü"}')
    expect(Buffer.from(await make().arrayBuffer())).toEqual(bytes)
    const blob = await make().blob()
    expect([blob.type, blob.size]).toEqual(['application/json', bytes.length])
    const chunks: Uint8Array[] = []
    for await (const chunk of make().body ?? []) chunks.push(chunk)
    expect(Buffer.concat(chunks)).toEqual(bytes)
    const form = make({ headers: { 'content-type': 'application/x-www-form-urlencoded' } })
    expect([...(await form.formData()).keys()]).toHaveLength(1)
  })

  it('is read once, in whatever way', async () => {
    const response = make()
    await response.text()
    expect(response.bodyUsed).toBe(true)
    await expect(response.json()).rejects.toThrow(TypeError)
    await expect(response.arrayBuffer()).rejects.toThrow(TypeError)
    await expect(response.blob()).rejects.toThrow(TypeError)
    expect(() => response.clone()).toThrow(TypeError)
    const streamed = make()
    await streamed.body?.getReader().read()
    expect(streamed.bodyUsed).toBe(true)
    await expect(streamed.text()).rejects.toThrow(TypeError)
    await expect(make({ status: 200 }).text()).resolves.toContain('told')
  })

  it('can be cloned and wrapped, before and after its stream was asked for', async () => {
    const response = make()
    const early = response.clone()
    expect(response.body).not.toBeNull()
    const late = response.clone()
    expect([early.url, late.url]).toEqual([response.url, response.url])
    expect(await Promise.all([response, early, late].map((one) => one.json()))).toEqual([
      ...Array.from({ length: 3 }, () => ({ told: 'ü' })),
    ])
    const wrapped = new Response(make().body, make())
    expect([wrapped.status, wrapped.headers.get('content-type'), await wrapped.json()]).toEqual([
      ...[201, 'application/json', { told: 'ü' }],
    ])
  })

  it('says what JSON.parse says of a body that is none', async () => {
    const response = bufferedResponse(Buffer.from('{"half'), {}, '')
    await expect(response.json()).rejects.toThrow(SyntaxError)
  })

  it('keeps what others have of it from whoever changes it', async () => {
    const kept = Buffer.from('abc')
    new Uint8Array(await bufferedResponse(kept, {}, '').arrayBuffer()).fill(0)
    for await (const chunk of bufferedResponse(kept, {}, '').body ?? []) chunk.fill(0)
    expect(kept.toString()).toBe('abc')
  })
})

it('a stream is kept as it came, whatever its reader does with what it was given', async () => {
  const provider = fakeProvider(() => sse(...chatStream('one two').split(/(?<=\n\n)/)))
  const cache = createResponseCache()
  const call = chatCall('hi', {}, { stream: true })
  const fetch = cache.fetch({ fetch: provider.fetch })
  for await (const chunk of (await fetch(chatUrl, call)).body ?? []) {
    // As byte streams do with what is handed to them.
    structuredClone(chunk, { transfer: [chunk.buffer as ArrayBuffer] })
  }
  await expect.poll(() => cache.stats().stored).toBe(1)
  expect(await (await fetch(chatUrl, call)).text()).toBe(chatStream('one two'))
  expect(provider.calls).toHaveLength(1)
  await cache.close()
})
