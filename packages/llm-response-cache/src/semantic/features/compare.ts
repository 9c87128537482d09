import type { QuestionFeatures } from './features.js'

export const objections = [
  'numbers',
  'names',
  'literals',
  'qualifiers',
  'code',
  'negation',
  'opposites',
  'order',
  'substitution',
  'script',
  'overlap',
] as const

/** Why two texts must not share an answer, however near they are. */
export type Objection = (typeof objections)[number]

export interface Comparison {
  /** The first objection that was found. */
  readonly objection: Objection | undefined
  /** Number of common words divided by the number of all words (Jaccard), from 0 to 1. */
  readonly overlap: number
}

export interface CompareOptions {
  /** Less overlap than this is an objection. */
  readonly minOverlap: number
}

/** Whether anything in two texts says that their answers differ. Symmetric. */
export function compareQuestionFeatures(
  one: QuestionFeatures,
  other: QuestionFeatures,
  { minOverlap }: CompareOptions,
): Comparison {
  const [left, right] = [new Set(one.words), new Set(other.words)]
  const shared = [...left].filter((word) => right.has(word)).length
  const all = left.size + right.size - shared
  const overlap = all === 0 ? 1 : shared / all
  const found = objects(one, other)
  return { overlap, objection: found ?? (overlap < minOverlap ? 'overlap' : undefined) }
}

function objects(one: QuestionFeatures, other: QuestionFeatures): Objection | undefined {
  if (!sameList(one.numbers, other.numbers)) return 'numbers'
  if (!allIn(one.names, other) || !allIn(other.names, one)) return 'names'
  if (!sameList(one.literals, other.literals)) return 'literals'
  if (!sameList(one.qualifiers, other.qualifiers)) return 'qualifiers'
  if (!sameList(one.code, other.code)) return 'code'
  if (negatesOtherwise(one, other)) return 'negation'
  if (rulesOut(one, other) || reverses(one, other) || reverses(other, one)) return 'opposites'
  if (isReordered(one, other)) return 'order'
  if (isSubstituted(one.words, other.words)) return 'substitution'
  return one.script === other.script ? undefined : 'script'
}

/** A name in one text must be a word of the other, however it is written there. */
function allIn(names: readonly string[], { words }: QuestionFeatures): boolean {
  return names.every((name) => words.includes(name))
}

function negatesOtherwise(one: QuestionFeatures, other: QuestionFeatures): boolean {
  return one.negations % 2 !== other.negations % 2 || one.negations > 0 !== other.negations > 0
}

/** Whether both texts have words of a group that rule each other out, but different ones. */
function rulesOut(one: QuestionFeatures, other: QuestionFeatures): boolean {
  return Object.entries(one.exclusive).some(([group, words]) => {
    const others = other.exclusive[group]
    return others !== undefined && !sameList(words, others)
  })
}

function reverses({ reversed, words }: QuestionFeatures, other: QuestionFeatures): boolean {
  return reversed.some(
    ([word, meant]) => other.words.includes(meant) && !other.words.includes(word) && !words.includes(meant),
  )
}

/**
 * Whether words of both texts have changed their roles: a word after `from` in one is after `to` in the other, or
 * names without a role have changed places, or a text of three words is reversed.
 */
function isReordered(one: QuestionFeatures, other: QuestionFeatures): boolean {
  const [first, second, third] = one.words
  const reversed = [third ?? '', second ?? '', first ?? '']
  // Three words of which the outer two are equal are their own reverse.
  if (one.words.length === 3 && first !== third && sameList(other.words, reversed)) return true
  const isShared = (word: string) => one.words.includes(word) && other.words.includes(word)
  const [left, right] = [rolesOf(one), rolesOf(other)]
  for (const [role, words] of left) {
    const others = right.get(role)
    if (others === undefined) continue
    const lost = words.some((word) => isShared(word) && !others.includes(word))
    const won = others.some((word) => isShared(word) && !words.includes(word))
    if (lost && won) return true
  }
  if (changesRole(one, other)) return true
  const explained = new Set([...one.roles, ...other.roles].map(([, word]) => word))
  const isBare = (word: string) => one.names.includes(word) && isShared(word) && !explained.has(word)
  return !sameList([...new Set(one.words.filter(isBare))], [...new Set(other.words.filter(isBare))])
}

/** Whether a word has roles in both texts, but none in common: mail `from` her is not mail `to` her. */
function changesRole(one: QuestionFeatures, other: QuestionFeatures): boolean {
  return one.roles.some(([, word]) => {
    const [left, right] = [one, other].map(({ roles }) =>
      roles.filter(([, who]) => who === word).map(([role]) => role),
    )
    return right !== undefined && right.length > 0 && left?.every((role) => !right.includes(role))
  })
}

function rolesOf({ roles }: QuestionFeatures): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const [role, word] of roles) found.set(role, [...(found.get(role) ?? []), word])
  return found
}

/**
 * Whether one or two words were replaced in a text that is otherwise the same: so `the capital of Peru` becomes
 * `the capital of Chile`. A synonym looks the same and is refused too; that costs a hit, but gives no wrong answer.
 */
function isSubstituted(one: readonly string[], other: readonly string[]): boolean {
  const gone = [...new Set(one)].filter((word) => !other.includes(word)).length
  const come = [...new Set(other)].filter((word) => !one.includes(word)).length
  return gone === come && gone >= 1 && gone <= 2
}

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index])
}
