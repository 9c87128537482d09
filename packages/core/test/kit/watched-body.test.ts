import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type BodyEnd, watchedBody } from '../../src/kit/index.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

let server: Server
let url: string

/** Called with the path of each answer that was closed before the server had completed it. */
const cutOff = vi.fn()

beforeAll(async () => {
  server = createServer((request, response) => {
    response.on('close', () => {
      if (!response.writableEnded) cutOff(request.url)
    })
    if (request.url === '/empty') response.writeHead(204).end()
    else if (request.url === '/moved') response.writeHead(302, { location: '/text' }).end()
    else if (request.url === '/text') response.end('four words of text')
    else {
      response.write('begin ')
      if (request.url === '/broken') setTimeout(() => response.destroy(), 20)
      // Any other path never ends.
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

async function watched(path: string, init?: RequestInit) {
  const ends: BodyEnd[] = []
  const response = watchedBody(await fetch(url + path, init), { onEnd: (end) => ends.push(end) })
  return { response, ends }
}

describe('a watched body', () => {
  it('is the same response, and says when it has been read to its end', async () => {
    const { response, ends } = await watched('/moved')
    expect(response).toMatchObject({
      status: 200,
      ok: true,
      redirected: true,
      url: `${url}/text`,
      type: 'basic',
    })
    expect(ends).toEqual([])
    expect(await response.text()).toBe('four words of text')
    expect(ends).toEqual([{ kind: 'read' }])
  })

  it('gives each chunk to onChunk as it passes', async () => {
    const chunks: Uint8Array[] = []
    const response = watchedBody(new Response('abc'), {
      onEnd: () => {},
      onChunk: (chunk) => chunks.push(chunk),
    })
    expect(await response.text()).toBe('abc')
    expect(Buffer.concat(chunks).toString()).toBe('abc')
  })

  it('reads nothing before its reader does', async () => {
    const pull = vi.fn((controller: ReadableStreamDefaultController) => controller.enqueue(Buffer.from('x')))
    const source = new ReadableStream({ pull }, { highWaterMark: 0 })
    const response = watchedBody(new Response(source), { onEnd: () => {} })
    await new Promise((resolve) => setImmediate(resolve))
    expect(pull).not.toHaveBeenCalled()
    await response.body?.getReader().read()
    expect(pull).toHaveBeenCalledTimes(1)
  })

  it('is left when its reader cancels it, and the provider is told', async () => {
    const { response, ends } = await watched('/endless-cancelled')
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    expect(ends).toEqual([{ kind: 'left' }])
    await expect.poll(() => cutOff).toHaveBeenCalledWith('/endless-cancelled')
  })

  it('is left when nobody holds the response any more, and the provider is told', async () => {
    const ends: BodyEnd[] = []
    const drop = async () => {
      const response = watchedBody(await fetch(`${url}/endless-dropped`), { onEnd: (end) => ends.push(end) })
      expect(response.ok).toBe(true)
    }
    await drop()
    await vi.waitFor(
      () => {
        collectGarbage()
        expect(ends).toEqual([{ kind: 'left' }])
      },
      { timeout: 15_000, interval: 20 },
    )
    await expect.poll(() => cutOff).toHaveBeenCalledWith('/endless-dropped')
  })

  it('is broken when the connection breaks, or the caller aborts', async () => {
    const broken = await watched('/broken')
    await expect(broken.response.text()).rejects.toThrow()
    expect(broken.ends).toEqual([{ kind: 'broken', error: expect.any(Error) }])
    const abort = new AbortController()
    const aborted = await watched('/endless-aborted', { signal: abort.signal })
    const reading = aborted.response.text()
    abort.abort(new Error('enough'))
    await expect(reading).rejects.toThrow('enough')
    expect(aborted.ends).toEqual([{ kind: 'broken', error: new Error('enough') }])
  })

  it('is broken when onChunk throws, and its source is read no further', async () => {
    const cancel = vi.fn()
    const source = new ReadableStream({ pull: (controller) => controller.enqueue(Buffer.from('x')), cancel })
    const ends: BodyEnd[] = []
    const error = new Error('too large')
    const response = watchedBody(new Response(source), {
      onEnd: (end) => ends.push(end),
      onChunk: () => {
        throw error
      },
    })
    await expect(response.text()).rejects.toBe(error)
    expect(ends).toEqual([{ kind: 'broken', error }])
    expect(cancel).toHaveBeenCalledWith(error)
  })

  it('ends at once where there is none, or another reader has it', async () => {
    const { response, ends } = await watched('/empty')
    expect(response.status).toBe(204)
    expect(ends).toEqual([{ kind: 'read' }])
    const read = new Response('x')
    await read.text()
    const lost: BodyEnd[] = []
    expect(watchedBody(read, { onEnd: (end) => lost.push(end) })).toBe(read)
    // A status that allows no body, on a response that a server has made by its own means.
    const odd = Object.defineProperty(new Response('x'), 'status', { value: 204 })
    expect(watchedBody(odd, { onEnd: (end) => lost.push(end) })).toBe(odd)
    expect(lost).toEqual([{ kind: 'read' }, { kind: 'read' }])
  })

  it('ends once although it was cloned, when both have been read', async () => {
    const { response, ends } = await watched('/text')
    const clone = response.clone()
    expect(clone.url).toBe(`${url}/text`)
    expect(await clone.text()).toBe('four words of text')
    expect(await response.text()).toBe('four words of text')
    expect(ends).toEqual([{ kind: 'read' }])
  })
})
