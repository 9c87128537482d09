import { InvalidInputError } from '@evenkeel/core'

/** @throws InvalidInputError for what JSON can't carry */
export function toJson(field: string, value: unknown): string {
  try {
    const json: string | undefined = JSON.stringify(value)
    if (json !== undefined) return json
  } catch (error) {
    const reason = error instanceof Error ? error.message : error
    throw new InvalidInputError(field, `something that JSON can carry (${reason})`, value)
  }
  throw new InvalidInputError(field, 'something that JSON can carry', value)
}
