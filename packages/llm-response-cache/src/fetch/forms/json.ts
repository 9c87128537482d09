import { isRecord, type Json } from '../../json.js'

/** The objects of a list; nothing where it is none. */
export function recordsOf(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

/** A text as a model would stream it: a word at a time, with the spaces before it. */
export function pieces(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? (text === '' ? [] : [text])
}
