import { InvalidInputError } from '@evenkeel/core'
import { hash32, mix } from './hash.js'

export interface PromptBlockOptions {
  /** Characters of a block; a last one that is not full is no block. @default 256 */
  readonly characters?: number | undefined
}

/** The most blocks of a prompt that are given, as `prefix` takes them. */
const maxBlocks = 4_096

/**
 * A prompt as the strategy `prefix` knows it: a hash of each block over all that comes before it, so that two prompts
 * that begin alike have the same first hashes. The shorter a block, the more of a cache is found and the more costs a
 * choice. A list of messages is told apart by role and content.
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
