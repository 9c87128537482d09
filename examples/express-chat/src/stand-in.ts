import type { Model } from './app.js'

/** Answers without a key: counts what it was told, word by word. */
export const standIn: Model = async function* (messages) {
  const said = messages.filter(({ role }) => role === 'user')
  for (const word of [`I`, ` have`, ` heard`, ` ${said.length}`, ` of your`, ` messages.`]) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    yield word
  }
}
