import { createHash } from 'node:crypto'

const words =
  'the a river level keel wind harbour calm tide sail north rope stone light deep clear slow bright old'.split(
    ' ',
  )

export interface Said {
  readonly role: string
  readonly content: unknown
}

/** Turns the messages into the text that a decoder reads. */
export function promptOf(messages: readonly Said[]): string {
  return messages.map(({ role, content }) => `${role}: ${content}`).join('\n')
}

/** The words of an answer, chosen by a digest of the prompt, so that equal prompts get equal answers. */
export function* answerTo(prompt: string, tokens: number): Generator<string> {
  let digest = createHash('sha256').update(prompt).digest()
  for (let index = 0; index < tokens; index++) {
    const at = index % digest.length
    if (index > 0 && at === 0) digest = createHash('sha256').update(digest).digest()
    yield `${words[(digest[at] ?? 0) % words.length]} `
  }
}

/** Four characters a token, by rule of thumb. */
export function countTokens(text: string): number {
  return Math.ceil(text.length / 4)
}

/** A vector of eight numbers, made of a digest of the text, so that equal texts have equal vectors. */
export function embeddingOf(text: string): Float32Array {
  const digest = createHash('sha256').update(text).digest()
  return Float32Array.from({ length: 8 }, (_, index) => (digest[index] ?? 0) / 255)
}
