import { InvalidInputError } from '@evenkeel/core'
import { hash32, mix } from './hash.js'

export interface PromptBlockOptions {
  /** Size of a block in characters; an incomplete last block is left out. @default 256 */
  readonly characters?: number | undefined
}

/** Maximum number of blocks, which is also what `prefix` accepts. */
const maxBlocks = 4_096

/**
 * Hashes a prompt for the strategy `prefix`: one hash for each block, over the block and all text before it, so that
 * prompts with the same beginning have the same first hashes. Shorter blocks find more cached text, but make each
 * choice more expensive. A list of messages is hashed by role and content.
 */
export function promptBlocks(
  prompt: unknown,
  { characters = 256 }: PromptBlockOptions = {},
): readonly number[] {
  if (!Number.isSafeInteger(characters) || characters < 1) {
    throw new InvalidInputError('characters', 'a whole number from 1', characters)
  }
  const text = typeof prompt === 'string' ? prompt : (JSON.stringify(prompt) ?? '')
  const blocks: number[] = []
  let before = 0
  for (let from = 0; from + characters <= text.length && blocks.length < maxBlocks; from += characters) {
    before = mix(before, hash32(text.slice(from, from + characters)))
    blocks.push(before)
  }
  return blocks
}
