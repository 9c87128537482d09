import type { Model } from './chat.controller.js'

/** Answers without a key: says how much it was told. Counts its calls. */
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
