import type { Answer } from '@evenkeel/core'
import type { Appended, Conversations, Written } from '../backends/online.js'
import type { DraftStore } from '../drafts/port.js'
import type { Doorbell } from '../feed/notifier.js'
import type { PreparedMessage } from '../messages/message.js'
import type { Counters } from '../metrics.js'
import type { ResolvedOptions } from '../options.js'
import type { Recall } from '../recall/recall.js'
import type { Token } from '../replica/operations.js'
import type { ThreadId } from '../stores/port.js'
import type { Thread } from './thread.js'

/** What a memory gives to the parts of which it consists. */
export interface ThreadServices {
  readonly options: ResolvedOptions
  readonly drafts: DraftStore
  readonly bell: Doorbell
  readonly counters: Counters
  /** @throws InvalidOptionError when the host gave no embedder */
  readonly recall: () => Recall
  /** The next number of this process; whoever takes it joins the thread's line in the same turn. */
  nextToken(): Token
  /** Takes note of messages that were appended. */
  noted(id: ThreadId, messages: readonly PreparedMessage[]): void
  /** An answer from Redis, or from this process in an outage. */
  read<T>(read: (store: Conversations) => Promise<T>): Promise<Answer<T>>
  /** The same, behind the thread's writes that came before. */
  write<T>(id: ThreadId, write: (store: Conversations) => Promise<T>): Promise<Answer<T>>
  append(id: ThreadId, messages: readonly PreparedMessage[], options: Written): Promise<Answer<Appended>>
  thread(id: ThreadId): Thread
}
