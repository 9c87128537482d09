import { isRecord, type Json } from '../../json.js'

/** The objects of a list; none if the value is no list. */
export function recordsOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

/** A text as a model would stream it: a word at a time, with the spaces before it. */
export function pieces(text: string): string[] {
  const found: string[] = []
  let from = 0
  for (const { 0: word, index } of text.matchAll(/\S+/g)) {
    found.push(text.slice(from, index + word.length))
    from = index + word.length
  }
  if (from < text.length) found.push(text.slice(from))
  return found
}
