import { describe, expect, it } from 'vitest'
import { countTokens, estimateTokens } from '../../src/kit/index.js'

const image = 1_600

describe('estimated tokens', () => {
  it.each([
    ['Latin letters', 'x'.repeat(400), 100],
    ['other letters', 'я'.repeat(400), 200],
    ['words in one character', '漢'.repeat(400), 400],
    ['a picture in two code units', '😀'.repeat(10), 10],
    ['nothing', undefined, 0],
    ['a number and its name', { n: 12 }, 1],
    ['a text that only begins like an address', `data: ${'x'.repeat(394)}`, 100],
    ['a text in a part that says so', { type: 'text', media_type: 'text/plain', data: 'x'.repeat(396) }, 105],
  ])('are those of its script: %s', (_, value, expected) => {
    expect(estimateTokens(value)).toBe(expected)
  })

  const bytes = 'A'.repeat(500_000)
  it.each([
    ['OpenAI, inline', { type: 'image_url', image_url: { url: `data:image/png;base64,${bytes}` } }],
    ['OpenAI, by address', { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }],
    ['OpenAI Responses', { type: 'input_image', image_url: `data:image/webp;base64,${bytes}` }],
    [
      'Anthropic, inline',
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: bytes } },
    ],
    ['Anthropic, by address', { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } }],
    ['Gemini', { inlineData: { mimeType: 'image/png', data: bytes } }],
    ['AI SDK', { type: 'image', image: new Uint8Array(500_000) }],
    ['AI SDK, a file', { type: 'file', mediaType: 'image/png', data: new URL('https://example.com/a.png') }],
    ['Ollama', { images: [`iVBORw0KGgo${bytes}`] }],
  ])('of an image do not depend on its bytes or address: %s', (_, part) => {
    expect(estimateTokens(part)).toBeGreaterThanOrEqual(image)
    expect(estimateTokens(part)).toBeLessThan(image + 20)
  })

  it('of another file grow with its length', () => {
    const part = (length: number) => ({
      type: 'input_audio',
      input_audio: { data: 'A'.repeat(length), format: 'wav' },
    })
    expect(estimateTokens(part(1_000))).toBeLessThan(image + 10)
    expect(estimateTokens(part(1_000_000))).toBeGreaterThanOrEqual(10_000)
    expect(estimateTokens(part(1_000_000))).toBeLessThan(10_010)
  })

  it('of a value of any depth are found', () => {
    let value: unknown = 'x'.repeat(40)
    for (let depth = 0; depth < 100_000; depth++) value = [value]
    expect(estimateTokens(value)).toBe(10)
  })

  it('of a value that contains itself end, and those of one that occurs twice count twice', () => {
    const message: Record<string, unknown> = { content: 'x'.repeat(40) }
    const letters = (value: unknown) => countTokens(value, (text) => text.length)
    expect(letters(Array(10).fill(message))).toBe(10 * 'content'.length + 400)
    message.thread = { messages: [message, message] }
    expect(letters(message)).toBe('contentthreadmessages'.length + 40)
  })

  it('of texts are counted by a function, and those of files are estimated', () => {
    const value = [
      { type: 'text', text: 'one two' },
      { type: 'image', image: 'https://example.com/a.png' },
    ]
    // The name of the field with the text counts too.
    expect(countTokens(value, (text) => text.split(' ').length)).toBe(3 + image)
  })
})
