import type { Message } from '../../messages/message.js'
import { prepare } from '../../messages/prepare.js'
import { resolveOptions } from '../../options.js'
import type { Change } from '../../stores/change.js'
import type { ThreadStore } from '../../stores/port.js'

export interface ThreadStoreHarness {
  /** An empty store. */
  create(): Promise<ThreadStore> | ThreadStore
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

export const options = resolveOptions({ countTokens: () => 10 })
export const all = { maxMessages: 1_000, maxTokens: Number.MAX_SAFE_INTEGER }
export const ttlMs = 60_000

export type ThreadSteps = ReturnType<typeof threadSteps>

/** The store of the running test, and what the tests do with it. Begin each test with `empty`. */
export function threadSteps(harness: ThreadStoreHarness) {
  let store: ThreadStore
  let tokens = 0
  const id = { owner: 'user:1', thread: 'chat' }

  const append = (messages: Message[], to = id) =>
    store.append(
      to,
      messages.map((message, index) => prepare(message, index, options)),
      { ttlMs },
    )
  const change = (one: Change, from = id) => store.change(from, one, { ttlMs })

  return {
    get store() {
      return store
    },
    id,
    async empty() {
      store = await harness.create()
    },
    pass: (ms: number) => harness.pass(ms),
    append,
    say: (...texts: string[]) => append(texts.map((text) => ({ id: text, role: 'user', content: text }))),
    remove: (from = id) => store.delete(from, { token: `deletion-${tokens++}` }),
    ids: async (from = id) => (await store.tail(from, all)).records.map((record) => record.id),
    change,
    edited: (text: string, revision?: number) =>
      ({
        kind: 'edit',
        token: `${text} ${revision}`,
        message: prepare({ id: 'a', role: 'user', content: text }, 0, options),
        revision,
      }) as const,
    put: (names: string[], removes?: { from: number; upTo: number }, content = (name: string) => name) =>
      change({
        kind: 'put',
        token: `put-${tokens++}`,
        messages: names.map((name, index) =>
          prepare({ id: name, role: 'user', content: content(name) }, index, options),
        ),
        removes,
      }),
  }
}
