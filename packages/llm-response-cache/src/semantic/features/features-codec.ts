import type { QuestionFeatures } from './features.js'

/** Decodes a sheet of the index; `undefined` for one that is damaged or of another version, and so no candidate. */
export function decodeQuestionFeatures(text: string): QuestionFeatures | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isSheet(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isSheet(value: unknown): value is QuestionFeatures {
  if (typeof value !== 'object' || value === null) return false
  const sheet = value as Record<string, unknown>
  const lists = [sheet.numbers, sheet.names, sheet.qualifiers, sheet.literals, sheet.code, sheet.words]
  return (
    lists.every(isTexts) &&
    isPairs(sheet.reversed) &&
    isPairs(sheet.roles) &&
    typeof sheet.negations === 'number' &&
    typeof sheet.script === 'string' &&
    typeof sheet.exclusive === 'object' &&
    sheet.exclusive !== null &&
    Object.values(sheet.exclusive).every(isTexts)
  )
}

function isPairs(value: unknown): boolean {
  return Array.isArray(value) && value.every((pair) => isTexts(pair) && pair.length === 2)
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === 'string')
}
