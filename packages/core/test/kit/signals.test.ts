import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { linkSignals, onAbort, untilAborted } from '../../src/kit/index.js'

afterEach(() => vi.restoreAllMocks())

const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length

describe('linked signals', () => {
  it("abort with the first of their sources, with that source's reason", () => {
    const [first, second] = [new AbortController(), new AbortController()]
    const { signal } = linkSignals(first.signal, undefined, second.signal)
    expect(signal.aborted).toBe(false)
    second.abort('second')
    first.abort('first')
    expect(signal.reason).toBe('second')
  })

  it('are aborted from the beginning when a source is', () => {
    const later = new AbortController()
    const { signal } = linkSignals(AbortSignal.abort('before'), AbortSignal.abort('also'), later.signal)
    expect(signal.reason).toBe('before')
    expect(listenersOf(later.signal)).toBe(0)
  })

  it('keep nothing at their sources after unlink, nor once they have aborted', () => {
    const [shutdown, call] = [new AbortController(), new AbortController()]
    const done = linkSignals(shutdown.signal, call.signal)
    done.unlink()
    const ended = linkSignals(shutdown.signal, call.signal)
    ended.abort('by hand')
    expect(ended.signal.reason).toBe('by hand')
    const left = linkSignals(shutdown.signal, call.signal)
    call.abort('left')
    expect(left.signal.reason).toBe('left')
    expect(listenersOf(shutdown.signal)).toBe(0)
    shutdown.abort('over')
    expect(done.signal.aborted).toBe(false)
  })

  it('may be thousands of one source, without a warning', () => {
    const warn = vi.spyOn(process, 'emitWarning')
    const { signal } = new AbortController()
    const links = Array.from({ length: 2_000 }, () => linkSignals(signal))
    expect(listenersOf(signal)).toBe(1)
    for (const { unlink } of links) unlink()
    expect(listenersOf(signal)).toBe(0)
    expect(warn).not.toHaveBeenCalled()
  })
})

describe('onAbort', () => {
  it('calls back once, with the reason, unless it is stopped', () => {
    const controller = new AbortController()
    const [heard, stopped] = [vi.fn(), vi.fn()]
    onAbort(controller.signal, heard)
    onAbort(controller.signal, stopped)()
    controller.abort('why')
    expect(heard).toHaveBeenCalledExactlyOnceWith('why')
    expect(stopped).not.toHaveBeenCalled()
  })

  it('calls all followers although one of them throws, but those that were stopped meanwhile', async () => {
    const controller = new AbortController()
    const thrown = new Promise((resolve) => process.once('uncaughtException', resolve))
    const [heard, stopped] = [vi.fn(), vi.fn()]
    let stop = () => {}
    onAbort(controller.signal, () => {
      stop()
      throw new Error('of a follower')
    })
    onAbort(controller.signal, heard)
    stop = onAbort(controller.signal, stopped)
    onAbort(controller.signal, heard)
    controller.abort('why')
    expect(heard).toHaveBeenCalledTimes(2)
    expect(stopped).not.toHaveBeenCalled()
    expect(await thrown).toMatchObject({ message: 'of a follower' })
    expect(listenersOf(controller.signal)).toBe(0)
  })

  it('calls back at once where the signal has aborted, and never without a signal', () => {
    const heard = vi.fn()
    onAbort(AbortSignal.abort('before'), heard)()
    onAbort(undefined, heard)()
    expect(heard).toHaveBeenCalledExactlyOnceWith('before')
  })
})

describe('untilAborted', () => {
  it('gives what the promise gives, and leaves the signal', async () => {
    const { signal } = new AbortController()
    const abandon = vi.fn()
    expect(await untilAborted(Promise.resolve(7), signal, abandon)).toBe(7)
    expect(abandon).not.toHaveBeenCalled()
    expect(listenersOf(signal)).toBe(0)
  })

  it("rejects with the signal's reason, and abandons what is half open", async () => {
    const controller = new AbortController()
    const abandon = vi.fn()
    const waiting = untilAborted(new Promise(() => {}), controller.signal, abandon)
    controller.abort('enough')
    await expect(waiting).rejects.toBe('enough')
    expect(abandon).toHaveBeenCalledTimes(1)
    await expect(untilAborted(Promise.resolve(7), AbortSignal.abort('before'), abandon)).rejects.toBe(
      'before',
    )
  })

  it('abandons when the promise itself fails, and swallows a failure that comes after the abort', async () => {
    const rejections = vi.fn()
    process.on('unhandledRejection', rejections)
    const abandon = vi.fn()
    await expect(
      untilAborted(Promise.reject(new Error('refused')), new AbortController().signal, abandon),
    ).rejects.toThrow('refused')
    expect(abandon).toHaveBeenCalledTimes(1)
    const controller = new AbortController()
    let fail = (_: Error) => {}
    const waiting = untilAborted(
      new Promise((_, reject) => {
        fail = reject
      }),
      controller.signal,
    )
    controller.abort('enough')
    await expect(waiting).rejects.toBe('enough')
    fail(new Error('late'))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', rejections)
    expect(rejections).not.toHaveBeenCalled()
  })
})
