import { describe, expect, it } from 'vitest'
import { isRequest, isResponse } from '../../src/kit/index.js'

/** Objects of servers that do not use the global classes. */
const ownResponse = { status: 200, headers: new Headers(), arrayBuffer: async () => new ArrayBuffer(0) }
const ownRequest = {
  url: 'http://h/',
  method: 'GET',
  headers: {},
  arrayBuffer: async () => new ArrayBuffer(0),
}

describe('shapes of fetch', () => {
  it('know a response and a request of any implementation', () => {
    for (const response of [new Response('x'), Response.error(), ownResponse]) {
      expect(isResponse(response)).toBe(true)
      expect(isRequest(response)).toBe(false)
    }
    for (const request of [new Request('http://h/'), ownRequest]) {
      expect(isRequest(request)).toBe(true)
      expect(isResponse(request)).toBe(false)
    }
  })

  it.each([undefined, null, 'http://h/', new URL('http://h/'), {}, { status: 200 }, () => {}])(
    'know that %o is neither',
    (value) => {
      expect(isResponse(value)).toBe(false)
      expect(isRequest(value)).toBe(false)
    },
  )
})
