import { createHash } from 'node:crypto'
import { type Fact, facts, wordingOf } from '../knowledge.js'
import type { Rag } from '../rag.js'

export interface Tally {
  asked: number
  exact: number
  semantic: number
  provider: number
  /** Answers that do not contain the documents' value: those of the semantic cache, and all others. */
  wrongSemantic: number
  wrongOther: number
}

/** Asks questions as people do: about a few facts often, about most seldom, and in varying words. */
export async function drive(rag: Rag, questions: number, seed = 1): Promise<Tally> {
  const tally: Tally = { asked: 0, exact: 0, semantic: 0, provider: 0, wrongSemantic: 0, wrongOther: 0 }
  const random = seeded(seed)
  for (let at = 0; at < questions; at++) {
    // The square makes the first facts popular.
    const fact = facts[Math.floor(random() ** 2 * facts.length)] as Fact
    // An opening and a closing vary the words further.
    const question = inOwnWords(wordingOf(fact, Math.floor(random() * 4)), random)
    const { value, outcome } = await rag.ask(question)
    const isRight = value.includes(fact.value)
    tally.asked++
    if (outcome === 'semantic') tally.semantic++
    else if (outcome === 'miss' || outcome === 'bypass') tally.provider++
    else tally.exact++
    if (!isRight) tally[outcome === 'semantic' ? 'wrongSemantic' : 'wrongOther']++
    await rag.semantic.settled()
  }
  return tally
}

const openings = [
  '',
  'Hi! ',
  'Hello, ',
  'Hey there. ',
  'Good day! ',
  'Quick question: ',
  'Sorry to bother you. ',
]
const closings = ['', ' Thanks!', ' Thank you very much.', ' Cheers', ' Please be brief.', ' It is urgent!']

function inOwnWords(question: string, random: () => number): string {
  const pick = (list: readonly string[]) => list[Math.floor(random() * list.length)] ?? ''
  return `${pick(openings)}${question}${pick(closings)}`
}

function seeded(seed: number): () => number {
  let drawn = 0
  return () => createHash('sha256').update(`${seed} ${drawn++}`).digest().readUInt32LE(0) / 2 ** 32
}
