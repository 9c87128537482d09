export interface ChatMessage {
  readonly role: string
  readonly content?: unknown
}

/** A stand-in that needs no API key. A provider's SDK goes here. */
export async function ask(messages: readonly ChatMessage[]): Promise<string> {
  return `I was told ${messages.length} messages, '${messages.at(-1)?.content}' last`
}
