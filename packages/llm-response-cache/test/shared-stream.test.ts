import { describe, expect, it } from 'vitest'
import { SharedStream, sourceOf } from '../src/streams/shared-stream.js'

/** Numbers, counted as they are asked for. */
function counting(until: number, failAt?: number) {
  const state = { pulled: 0, cancelled: false }
  const stream = new ReadableStream<number>(
    {
      pull: (controller) => {
        if (state.pulled === failAt) controller.error(new Error('upstream broke'))
        else if (state.pulled === until) controller.close()
        else controller.enqueue(state.pulled++)
      },
      cancel: () => {
        state.cancelled = true
      },
    },
    { highWaterMark: 0 },
  )
  return { state, stream }
}

const collect = async (stream: ReadableStream<number>) => {
  const parts: number[] = []
  for await (const part of stream) parts.push(part)
  return parts
}

const share = (stream: ReadableStream<number>, maxBytes = 1_000) => {
  const ended: (readonly number[] | undefined)[] = []
  const shared = new SharedStream<number>(sourceOf(stream), {
    maxSize: maxBytes,
    stallMs: 10_000,
    onAbandon: 'finish',
    sizeOf: () => 1,
    onEnd: ({ pieces, error }) => ended.push(error === undefined ? pieces && [...pieces] : undefined),
  })
  return { shared, ended }
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 5))

describe('a shared stream', () => {
  it('come whole to every reader, and are recorded once', async () => {
    const { shared, ended } = share(counting(50).stream)
    const first = collect(shared.read())
    const second = collect(shared.read())
    const all = Array.from({ length: 50 }, (_, at) => at)
    expect(await first).toEqual(all)
    expect(await second).toEqual(all)
    expect(await collect(shared.read())).toEqual(all)
    expect(ended).toEqual([all])
  })

  it('are recorded to the end when nobody reads, or the reader leaves', async () => {
    const { shared, ended } = share(counting(20).stream)
    await shared.read().cancel()
    await settle()
    expect(ended).toEqual([Array.from({ length: 20 }, (_, at) => at)])
  })

  it('beyond their bound go at the pace of the reader, with little held, and are not recorded', async () => {
    const source = counting(1_000)
    const { shared, ended } = share(source.stream, 10)
    const reader = shared.read().getReader()
    await settle()
    expect(source.state.pulled).toBe(11)
    expect(shared.joinable).toBe(false)
    for (let at = 0; at < 100; at++) expect((await reader.read()).value).toBe(at)
    expect(source.state.pulled).toBeLessThan(105)
    await reader.cancel()
    await settle()
    expect(ended).toEqual([undefined])
    expect(source.state.cancelled).toBe(true)
  })

  it('give an error of the source to every reader, and are not recorded then', async () => {
    const { shared, ended } = share(counting(50, 5).stream)
    await expect(collect(shared.read())).rejects.toThrow('upstream broke')
    expect(shared.joinable).toBe(false)
    expect(ended).toEqual([undefined])
  })

  it('end for the reader whose signal aborts, and go on for the others', async () => {
    const { shared } = share(counting(50).stream)
    const controller = new AbortController()
    const leaving = shared.read(controller.signal)
    controller.abort(new Error('left'))
    await expect(collect(leaving)).rejects.toThrow('left')
    expect(await collect(shared.read())).toHaveLength(50)
    const late = shared.read(AbortSignal.abort(new Error('never came')))
    await expect(collect(late)).rejects.toThrow('never came')
  })
})
