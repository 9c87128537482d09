import type { Model } from './chat.controller.js'

/** A model that needs no API key: it answers how many messages it was given, and counts its calls. */
export function standIn(): { readonly model: Model; readonly calls: () => number } {
  let count = 0
  return {
    model: async (messages) => {
      count++
      return `I was told ${messages.length} messages, '${messages.at(-1)?.content}' last`
    },
    calls: () => count,
  }
}
