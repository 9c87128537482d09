import { afterEach, describe, expect, it, vi } from 'vitest'
import { Emitter } from '../../src/kit/index.js'

type Events = { told(text: string): void; other(): void }

afterEach(() => vi.restoreAllMocks())

describe('an emitter', () => {
  it('calls the listeners of an event in their order, until each is removed', () => {
    const emitter = new Emitter<Events>()
    const heard: string[] = []
    const stop = emitter.on('told', (text) => heard.push(`first ${text}`))
    const second = (text: string) => heard.push(`second ${text}`)
    emitter.on('told', second)
    emitter.emit('told', 'a')
    emitter.emit('other')
    stop()
    emitter.emit('told', 'b')
    emitter.off('told', second)
    expect(emitter.has('told')).toBe(false)
    emitter.emit('told', 'c')
    expect(heard).toEqual(['first a', 'second a', 'second b'])
  })

  it('reports a listener that throws as a warning, and calls the others', () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const emitter = new Emitter<Events>()
    const heard = vi.fn()
    const error = new Error('a bug in a listener')
    emitter.on('told', () => {
      throw error
    })
    emitter.on('told', heard)
    emitter.emit('told', 'a')
    expect(heard).toHaveBeenCalledWith('a')
    expect(warn).toHaveBeenCalledExactlyOnceWith(error, {
      code: 'EVENKEEL_LISTENER',
      detail: "thrown by a listener of 'told'",
    })
  })

  it('lets a listener add and remove listeners while it is called', () => {
    const emitter = new Emitter<Events>()
    const added = vi.fn()
    const stop = emitter.on('other', () => {
      stop()
      emitter.on('other', added)
    })
    emitter.emit('other')
    expect(added).not.toHaveBeenCalled()
    emitter.emit('other')
    expect(added).toHaveBeenCalledTimes(1)
    emitter.clear()
    expect(emitter.has('other')).toBe(false)
  })
})
