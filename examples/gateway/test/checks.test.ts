import { describe, expect, it } from 'vitest'
import { answerTo, promptOf } from '../src/decoder/text.js'
import { checksOf } from '../src/demo/checks.js'
import { asked, type Result } from '../src/demo/driver.js'
import type { Findings } from '../src/demo/findings.js'
import { tableOf } from '../src/demo/table.js'
import { chatJob, greedyUser, type Job, stranger } from '../src/demo/workload.js'

function answer(job: Job, more: Partial<Result> = {}): Result {
  const before = more.before ?? []
  const text = [...answerTo(promptOf([...before, asked(job)]), job.maxTokens)].join('')
  const reply = { ms: 50, cache: 'miss', decidedBy: 'redis', history: undefined, error: undefined }
  return { job, server: 0, before, text, status: 'answered', ...reply, ...more }
}

const ask = (user: string, prompt: string, stream = false) => chatJob(0, user, prompt, 8, stream)
const turn = (number: number) => ({ ...ask('talker', `turn ${number}`), turn: { conversation: 0, number } })
const calls = (value: number, node = 'good', outcome = 'ok') => ({
  name: 'gateway_upstream_calls_total',
  labels: { node, outcome },
  value,
})

const repeat = (callMs: number, hitMs: number) => ({
  first: answer(ask('one', 'twice'), { ms: callMs }),
  second: answer(ask('one', 'twice'), { ms: hitMs, cache: 'hit' }),
})

/** A run on two gateways in which every promise held. */
function goodFindings(): Findings {
  const first = turn(0)
  const said = [asked(first), { role: 'assistant', content: answer(first).text }]
  return {
    baseline: [],
    results: [
      answer(ask('one', 'a')),
      answer(ask('two', 'a'), { server: 1, cache: 'hit', ms: 3 }),
      answer(first, { history: 'whole' }),
      answer(turn(1), { history: 'whole', server: 1, before: said }),
      ...Array.from({ length: 60 }, (_, index) =>
        answer(ask(greedyUser, 'b'), { server: index % 2, cache: 'hit', ms: 3 }),
      ),
      answer(ask(greedyUser, 'b'), { status: 'refused', text: '', cache: undefined }),
      answer(ask(stranger, 'a')),
    ],
    repeats: [repeat(50, 3), repeat(60, 4)],
    metrics: [calls(5)],
    nodes: ['good', 'mortal'],
    gateways: 2,
    slots: 8,
    mortal: { name: 'mortal', died: true, servingIn: 0 },
    outage: undefined,
  }
}

const broken = (findings: Findings) =>
  checksOf(findings)
    .filter(({ held }) => !held)
    .map(({ promise }) => promise)

/** The good run with the given changes. */
function withResults(...results: Result[]): Findings {
  const good = goodFindings()
  return { ...good, results: [...good.results, ...results] }
}

describe('the checks', () => {
  it('find nothing where every promise held', () => {
    expect(broken(goodFindings())).toEqual([])
  })

  it('find a request that failed although no decoder had it', () => {
    const failed = answer(ask('one', 'c'), { status: 'failed', text: '' })
    expect(broken(withResults(failed))).toEqual([
      'every request is answered, but for streams that the dying decoder held',
    ])
  })

  it('allow for a stream that the dying decoder held, and for whoever had joined it', () => {
    const failed = answer(ask('one', 'c', true), { status: 'failed', error: 'cut short' })
    const findings = withResults(failed, { ...failed, cache: 'coalesced' })
    const metrics = [...findings.metrics, calls(1, 'mortal', 'failed')]
    expect(broken({ ...findings, metrics })).toEqual([])
  })

  it('find a wrong answer', () => {
    expect(broken(withResults(answer(ask('one', 'a'), { cache: 'hit', text: 'other', ms: 3 })))).toEqual([
      'every answer is the one that the decoders give',
    ])
  })

  it('find a limit that let one more through, or that was never reached', () => {
    const more = withResults(answer(ask(greedyUser, 'b'), { cache: 'hit', ms: 3 }))
    expect(broken(more)).toEqual(['the greedy user gets no more than the limit'])
    const { results, ...rest } = goodFindings()
    const none = results.filter(({ status }) => status !== 'refused')
    expect(broken({ ...rest, results: none })).toEqual(['the greedy user gets no more than the limit'])
  })

  it('allow the share of an outage where memory decided', () => {
    const byMemory = answer(ask(greedyUser, 'b'), { cache: 'hit', ms: 3, decidedBy: 'memory' })
    expect(broken(withResults(byMemory))).toEqual([])
  })

  it('find somebody else who was refused', () => {
    expect(broken(withResults(answer(ask('one', 'c'), { status: 'refused' })))).toEqual([
      'nobody else is refused',
    ])
  })

  it('find more calls than requests to make them', () => {
    expect(broken({ ...goodFindings(), metrics: [calls(9)] })).toEqual(['equal requests share one call'])
  })

  it('find answers from the cache that take as long as calls, and a cache that keeps nothing', () => {
    const sooner = 'an answer from the cache comes sooner than a call'
    const slow = [repeat(50, 50), repeat(50, 60), repeat(500, 60)]
    expect(broken({ ...goodFindings(), repeats: slow })).toEqual([sooner])
    const { first } = repeat(50, 3)
    const never = { first, second: { ...first, ms: 3 } }
    expect(broken({ ...goodFindings(), repeats: [never, never] })).toEqual([sooner])
  })

  it("find an answer that another organisation's question had made", () => {
    const { results, ...rest } = goodFindings()
    const given = results.map((result) =>
      result.job.user === stranger ? { ...result, cache: 'hit', ms: 3 } : result,
    )
    expect(broken({ ...rest, results: given })).toEqual(["no organisation is given another one's answers"])
  })

  it('find a turn that forgot what was said', () => {
    const { results, ...rest } = goodFindings()
    const forgot = results.map((result) =>
      result.job.turn?.number === 1 ? answer(turn(1), { history: 'whole', server: 1 }) : result,
    )
    // The demo judges by the messages that it sent itself, not by what the gateway knew.
    const before = results.find(({ job }) => job.turn?.number === 1)?.before ?? []
    const asDriven = forgot.map((result) => (result.job.turn?.number === 1 ? { ...result, before } : result))
    expect(broken({ ...rest, results: asDriven })).toEqual([
      'each turn of a conversation builds on all that was said',
    ])
  })

  it('find gateways that share nothing', () => {
    const { results, ...rest } = goodFindings()
    const alone = results.map((result) => ({ ...result, server: 0 }))
    expect(broken({ ...rest, results: alone, metrics: [calls(5)] })).toEqual(
      expect.arrayContaining(['one limit holds over both gateways']),
    )
  })

  it('find a decoder that is used after its death', () => {
    const mortal = { name: 'mortal', died: true, servingIn: 1 }
    expect(broken({ ...goodFindings(), mortal })).toEqual(['the decoder that died is out of service'])
  })

  it('find an outage that cost a request, or that did not end', () => {
    const during = ({ job }: Result) => job.prompt === 'c'
    const outage = { awayMs: 1_000, returnMs: undefined, during }
    const lost = answer(ask('one', 'c'), { status: 'failed', decidedBy: undefined, error: '502' })
    expect(broken({ ...withResults(lost), outage })).toEqual(
      expect.arrayContaining([
        'no request failed for the outage',
        'memory decided while Redis was away',
        'Redis is used again soon after its return',
      ]),
    )
  })
})

describe('the table', () => {
  it('tells the calm and the outage apart, each beside the same requests without evenkeel', () => {
    const calm = answer(ask('one', 'calm'), { ms: 10 })
    const away = answer(ask('two', 'away'), { ms: 30 })
    const outage = { awayMs: 1_000, returnMs: 20, during: ({ job }: Result) => job === away.job }
    const findings = {
      ...goodFindings(),
      results: [calm, away],
      baseline: [
        { ...calm, ms: 40 },
        { ...away, ms: 60 },
      ],
      outage,
    }
    const rows = new Map(tableOf(findings).map(([name, ...values]) => [name.trim(), values]))
    expect(rows.get('latency with Redis, median')).toEqual(['10 ms', '40 ms'])
    expect(rows.get('latency without Redis, median')).toEqual(['30 ms', '60 ms'])
  })

  it('says what each gateway did', () => {
    const rows = new Map(tableOf(goodFindings()).map(([name, value]) => [name.trim(), value]))
    expect(rows.get('requests')).toBe('66')
    expect(rows.get('refused by a limit (429)')).toBe('1')
    expect(rows.get("the greedy user's admitted")).toBe('30 + 30')
    expect(rows.get('hits of what the other stored')).toBe('30 + 31')
  })
})
