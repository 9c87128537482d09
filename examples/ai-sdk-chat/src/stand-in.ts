import type { Model } from './chat.js'

/** A model that needs no API key and answers word by word. */
export const standIn: Model = async function* (messages) {
  for (const word of [
    'This',
    ' is',
    ' answer',
    ` ${messages.filter(({ role }) => role === 'user').length}.`,
  ]) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    yield word
  }
}

export function textOf(message: { parts: readonly { type: string }[] } | undefined): string {
  const parts = message?.parts ?? []
  return parts.map((part) => ('text' in part && typeof part.text === 'string' ? part.text : '')).join('')
}

/** The words of a stream, which are what the page shows. */
export async function wordsOf(response: Response): Promise<string> {
  const events = (await response.text()).split('\n\n').filter((event) => event.startsWith('data: {'))
  return events.map((event) => JSON.parse(event.slice(6)).delta ?? '').join('')
}
