import { parseList } from 'structured-headers'
import { expect, it } from 'vitest'
import { forms, project } from './harness/index.js'

/** Seconds that two loops of requests may be apart, on a machine of any load. */
const within = 20

/**
 * The same limits and requests through express-rate-limit with its newest headers, through ours with the same
 * algorithm, through ours with a sliding window, and through both on one answer, in either order.
 */
const script = `
  import express from 'express'
  import { rateLimit as theirs } from 'express-rate-limit'
  import { createRateLimiter, fixedWindow, slidingWindow } from '@evenkeel/rate-limiter'
  import { rateLimit } from '@evenkeel/rate-limiter/express'

  const peer = () => theirs({
    limit: 3, windowMs: 60_000, standardHeaders: 'draft-8', legacyHeaders: false, identifier: 'requests',
  })
  const own = (requests) => rateLimit({ limiter: createRateLimiter({ limits: { requests } }) })
  const fixed = () => own(fixedWindow(3, '1m', { align: 'first-use' }))
  const routes = {
    peer: [peer()],
    fixed: [fixed()],
    sliding: [own(slidingWindow(3, '1m'))],
    peerFirst: [peer(), fixed()],
    ownFirst: [fixed(), peer()],
  }
  const app = express()
  for (const [path, handlers] of Object.entries(routes))
    app.get('/' + path, ...handlers, (_request, response) => { response.send('hello') })
  const server = app.listen(0)
  await new Promise((resolve) => server.once('listening', resolve))
  const answers = {}
  for (const path of Object.keys(routes)) {
    answers[path] = []
    for (let count = 0; count < 4; count++) {
      const response = await fetch('http://127.0.0.1:' + server.address().port + '/' + path)
      const header = (name) => response.headers.get(name)
      answers[path].push({
        status: response.status,
        policy: header('ratelimit-policy'),
        limits: header('ratelimit'),
        retryAfter: header('retry-after'),
        type: header('content-type'),
      })
      await response.arrayBuffer()
    }
  }
  server.closeAllConnections()
  server.close()
  console.log(JSON.stringify(answers))`

interface Answer {
  readonly status: number
  readonly policy: string
  readonly limits: string
  readonly retryAfter: string | null
  readonly type: string
}

type Route = 'peer' | 'fixed' | 'sliding' | 'peerFirst' | 'ownFirst'

/** A structured field's list: each member's name and its parameters. A name that came twice is there twice. */
function list(header: string): readonly (readonly [string, Readonly<Record<string, unknown>>])[] {
  return parseList(header).map(([name, parameters]) => [
    String(name),
    Object.fromEntries(parameters as ReadonlyMap<string, unknown>),
  ])
}

function only(header: string): Readonly<Record<string, unknown>> {
  const members = list(header)
  expect(members.map(([name]) => name)).toEqual(['requests'])
  return members[0]?.[1] ?? {}
}

it.each(forms)(
  'headers say what express-rate-limit says, and where they differ it has a reason, %s',
  async (form) => {
    const app = await project('rate-limiter-headers', {
      packages: ['@evenkeel/rate-limiter'],
      dependencies: { express: '5.3.0', 'express-rate-limit': '8.7.5' },
    })
    const { value } = await app.run(script, { form })
    const { peer, fixed, sliding, peerFirst, ownFirst } = value as Readonly<Record<Route, readonly Answer[]>>

    for (const [index, theirs] of peer.entries()) {
      const ours = fixed[index] as Answer
      expect([ours.status, theirs.status]).toEqual(index < 3 ? [200, 200] : [429, 429])

      // The policy: quota and window are the same. `pk` is theirs alone: a digest of the client's address, by which a
      // client could tell partitions apart. It is optional in the draft, and ours does not show how it names clients.
      const { pk, ...policy } = only(theirs.policy)
      expect(pk).toBeInstanceOf(ArrayBuffer)
      expect(only(ours.policy)).toEqual(policy)
      expect(policy).toEqual({ q: 3, w: 60 })

      // What is left is the same, and so is the time, except for the seconds that the two loops are apart.
      const [own, other] = [only(ours.limits), only(theirs.limits)]
      expect(own.r).toBe(other.r)
      expect(Math.abs(Number(own.t) - Number(other.t))).toBeLessThanOrEqual(within)
      expect(Number(own.t)).toBeLessThanOrEqual(60)
      expect(Object.keys(own).sort()).toEqual(['r', 't'])
      expect(Object.keys(other).sort()).toEqual(['r', 't'])

      // A sliding window is free again when its last charge has left it, so its time does not run down between calls;
      // for a refused call it is the time until its first charge leaves. Their window restarts as a whole.
      const rolling = only((sliding[index] as Answer).limits)
      expect(rolling.r).toBe(other.r)
      if (index < 3) expect(rolling.t).toBe(60)

      // Both say when to come back, ours never before its own `t`.
      if (index < 3) {
        expect([ours.retryAfter, theirs.retryAfter]).toEqual([null, null])
        continue
      }
      expect(Number(ours.retryAfter)).toBe(own.t)
      expect(Math.abs(Number(ours.retryAfter) - Number(theirs.retryAfter))).toBeLessThanOrEqual(within)
      // Their refusal is a text, ours the problem that the draft registers.
      expect(theirs.type).toContain('text/html')
      expect(ours.type).toContain('application/problem+json')
    }

    // One answer can have both. After theirs, ours takes another name; theirs ignores what is already there.
    const named = ({ policy, limits }: Answer) =>
      [policy, limits].map((header) => list(header).map(([name]) => name))
    const [afterTheirs] = peerFirst
    const [beforeTheirs] = ownFirst
    expect(afterTheirs && named(afterTheirs)).toEqual([
      ['requests', 'requests-2'],
      ['requests', 'requests-2'],
    ])
    expect(beforeTheirs && named(beforeTheirs)).toEqual([
      ['requests', 'requests'],
      ['requests', 'requests'],
    ])
  },
)
