import { describe, expect, it } from 'vitest'
import { optionsFrom } from '../src/server/options.js'

const keysOf = (text: string) => optionsFrom({ GATEWAY_API_KEYS: text }).apiKeys

describe('the keys of callers', () => {
  it('are given with their organisations, or alone, or any key is accepted', () => {
    expect(keysOf('k1=acme, k2')).toEqual(
      new Map([
        ['k1', 'acme'],
        ['k2', 'k2'],
      ]),
    )
    expect(keysOf('*')).toBeUndefined()
    expect(keysOf('')).toBeUndefined()
  })

  it.each(['k1=acme,*', 'k1=acme,', '=acme', 'k1='])('are refused without showing a key: %j', (text) => {
    expect(() => keysOf(text)).toThrow(/^GATEWAY_API_KEYS: entry \d is no key=organisation/)
  })
})
