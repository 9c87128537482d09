import { isDeepStrictEqual } from 'node:util'
import { cosine } from '@evenkeel/core/kit'
import { isRecord } from '../json.js'
import { compareQuestionFeatures } from './features/compare.js'
import { questionFeaturesOf } from './features/features.js'
import { upperBound } from './policy/clopper-pearson.js'
import { unitVector } from './vector.js'

export type Embed = (texts: readonly string[]) => Promise<readonly ArrayLike<number>[]>

/** Returns whether the stored answer would have been right, given the fresh one. */
export type Judge = (kept: unknown, fresh: unknown) => boolean | Promise<boolean>

/**
 * The default judge. Objects are the same if they are equal apart from what differs between any two answers (ids,
 * times, token counts). Texts are the same if they are equal apart from spaces and case, or if the embedder finds them
 * similar and they agree in numbers, names, code and negation. In doubt it says "different", which costs hits. It does
 * not understand answers: for long free text, give a judge that does.
 */
export function defaultJudge(embed: Embed, minSimilarity = 0.9): Judge {
  return async (kept, fresh) => {
    const [one, other] = [essenceOf(kept), essenceOf(fresh)]
    if (isDeepStrictEqual(one, other)) return true
    const [text, otherText] = [textOf(one), textOf(other)]
    if (text === undefined || otherText === undefined) return false
    if (plain(text) === plain(otherText)) return true
    const structures = [parseStructure(text), parseStructure(otherText)]
    if (structures.some((structure) => structure !== undefined)) {
      return isDeepStrictEqual(structures[0], structures[1])
    }
    const digest = (part: string) => part
    const { objection } = compareQuestionFeatures(
      questionFeaturesOf(text, digest),
      questionFeaturesOf(otherText, digest),
      {
        minOverlap: 0.5,
      },
    )
    if (objection !== undefined && objection !== 'order' && objection !== 'substitution') return false
    const [near, far] = (await embed([text, otherText])).map(unitVector)
    return near !== undefined && far !== undefined && cosine(near, far) >= minSimilarity
  }
}

/** Two answers to one question, and whether the first is right where the second was given. */
export interface LabelledAnswers {
  readonly kept: unknown
  readonly fresh: unknown
  readonly same: boolean
}

export interface JudgeReport {
  /** Share of wrong answers that the judge accepts, and its upper bound with 95 % confidence. */
  readonly missRate: number
  readonly missRateBound: number
  /** Share of right answers that the judge rejects: lost hits. */
  readonly falseAlarmRate: number
}

/** Measures a judge on answers that you know. Pass `missRateBound` as `judgeMissRate`. */
export async function measureJudge(judge: Judge, answers: readonly LabelledAnswers[]): Promise<JudgeReport> {
  const counts = { wrong: 0, missed: 0, right: 0, alarms: 0 }
  for (const { kept, fresh, same } of answers) {
    const says = (await judge(kept, fresh)) === true
    counts[same ? 'right' : 'wrong']++
    if (says && !same) counts.missed++
    if (!says && same) counts.alarms++
  }
  return {
    missRate: counts.missed / Math.max(1, counts.wrong),
    missRateBound: upperBound(counts.missed, counts.wrong, 0.95),
    falseAlarmRate: counts.alarms / Math.max(1, counts.right),
  }
}

/** Members of an answer that always differ, in the providers' formats. */
const incidental =
  /^(?:id|created|created_at|timestamp|system_fingerprint|service_tier|usage|logprobs|request|response|headers|tool_call_id|toolCallId)$/

function essenceOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(essenceOf)
  if (typeof value !== 'object' || value === null) return value
  const members = Object.entries(value).filter(([name]) => !incidental.test(name))
  return Object.fromEntries(members.map(([name, member]) => [name, essenceOf(member)]))
}

/** The single text of an answer; `undefined` if it has several parts or calls tools. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (!isRecord(value)) return undefined
  const { choices, content, output, message, text } = value
  if (typeof text === 'string') return text
  for (const list of [choices, content, output]) {
    if (Array.isArray(list)) return list.length === 1 ? textOf(list[0]) : undefined
  }
  if (typeof content === 'string') return Array.isArray(value.tool_calls) ? undefined : content
  return message === undefined ? undefined : textOf(message)
}

function plain(text: string): string {
  return text.normalize('NFKC').replace(/\s+/g, ' ').trim().toLowerCase()
}

function parseStructure(text: string): unknown {
  if (!/^\s*[{[]/.test(text)) return undefined
  try {
    return essenceOf(JSON.parse(text))
  } catch {
    return undefined
  }
}
