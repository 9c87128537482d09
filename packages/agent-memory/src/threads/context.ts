import type { Answer } from '@evenkeel/core'
import type { Spans } from '@evenkeel/core/kit'
import type { AppendGuards, AppendOutcome, ThreadBackend } from '../backends/port.js'
import type { DraftStore } from '../drafts/port.js'
import type { ChangeNotifier } from '../feed/notifier.js'
import type { PreparedMessage } from '../messages/prepare.js'
import type { Counters } from '../metrics.js'
import type { ResolvedOptions } from '../options.js'
import type { Recall } from '../recall/recall.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { Token } from '../stores/token.js'
import type { Turns } from './turns.js'

/** What a memory gives to the parts of which it consists. */
export interface ThreadContext {
  readonly options: ResolvedOptions
  readonly drafts: DraftStore
  readonly notifier: ChangeNotifier
  readonly counters: Counters
  /** `undefined` where the host asks for none. */
  readonly spans: Spans | undefined
  /** Of updates that read before they write. */
  readonly turns: Turns
  /** @throws InvalidOptionError when the host gave no embedder */
  readonly recall: () => Recall
  /** The next number of this process. The caller joins the thread's queue in the same turn. */
  nextToken(): Token
  /** Takes note of messages that were appended. */
  noted(id: ThreadId, messages: readonly PreparedMessage[], generation: number | undefined): void
  /** An answer from Redis, or from this process in an outage. */
  read<T>(read: (store: ThreadBackend) => Promise<T>): Promise<Answer<T>>
  /** The same, behind the thread's writes that came before. */
  write<T>(id: ThreadId, write: (store: ThreadBackend) => Promise<T>): Promise<Answer<T>>
  append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    options: AppendGuards,
  ): Promise<Answer<AppendOutcome>>
}
