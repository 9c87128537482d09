import { describe, expect, it } from 'vitest'
import { bufferedResponse, type ResponseOrigin } from '../../src/kit/index.js'

const bytes = Buffer.from('\uFEFF{"told":"ü"}')
const origin: ResponseOrigin = { url: 'https://api.example.com/v1', redirected: true, type: 'cors' }
const make = (init: ResponseInit = { status: 201, headers: { 'content-type': 'application/json' } }) =>
  bufferedResponse(bytes, init, origin)

describe('a response whose body is there already', () => {
  it('is one like any other, however it is read', async () => {
    const response = make()
    expect(response).toBeInstanceOf(Response)
    expect([response.status, response.ok, response.url, response.bodyUsed]).toEqual([
      ...[201, true, 'https://api.example.com/v1', false],
    ])
    // As with fetch, the text has no byte order mark, and the bytes have it.
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

  it('has what a native one has, and refuses what that refuses', () => {
    const init = {
      status: 404,
      statusText: 'Not there',
      headers: [
        ['x-one', '1'],
        ['X-One', '2'],
      ] as [string, string][],
    }
    const [own, native] = [make(init), new Response('', init)]
    const seen = ({ status, statusText, ok, headers }: Response) => [
      status,
      statusText,
      ok,
      headers.get('x-one'),
    ]
    expect(seen(own)).toEqual(seen(native))
    expect(String(own)).toBe('[object Response]')
    const copy = own.clone()
    copy.headers.set('x-one', '3')
    expect(own.headers.get('x-one')).toBe('1, 2')
    expect(() => make({ status: 199 })).toThrow(RangeError)
    expect(() => make({ headers: { 'a b': 'c' } })).toThrow(TypeError)
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
    for (const { redirected, type } of [response, early, late])
      expect([redirected, type]).toEqual([true, 'cors'])
    expect(await Promise.all([response, early, late].map((one) => one.json()))).toEqual([
      ...Array.from({ length: 3 }, () => ({ told: 'ü' })),
    ])
    const wrapped = new Response(make().body, make())
    expect([wrapped.status, wrapped.headers.get('content-type'), await wrapped.json()]).toEqual([
      ...[201, 'application/json', { told: 'ü' }],
    ])
  })

  it('says what JSON.parse says of a body that is none', async () => {
    const response = bufferedResponse(Buffer.from('{"half'), {}, origin)
    await expect(response.json()).rejects.toThrow(SyntaxError)
  })

  it('keeps what others have of it from whoever changes it', async () => {
    const kept = Buffer.from('abc')
    new Uint8Array(await bufferedResponse(kept, {}, origin).arrayBuffer()).fill(0)
    for await (const chunk of bufferedResponse(kept, {}, origin).body ?? []) chunk.fill(0)
    expect(kept.toString()).toBe('abc')
  })
})
