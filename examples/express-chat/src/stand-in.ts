import type { Model } from './app.js'

/** A model that needs no API key: it answers, word by word, how many messages the user has sent. */
export const standIn: Model = async function* (messages) {
  const said = messages.filter(({ role }) => role === 'user')
  for (const word of [`I`, ` have`, ` heard`, ` ${said.length}`, ` of your`, ` messages.`]) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    yield word
  }
}
