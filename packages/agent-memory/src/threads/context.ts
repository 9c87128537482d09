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

/** What a memory shares with its parts. */
export interface ThreadContext {
  readonly options: ResolvedOptions
  readonly drafts: DraftStore
  readonly notifier: ChangeNotifier
  readonly counters: Counters
  /** `undefined` if the application wants none. */
  readonly spans: Spans | undefined
  /** For updates that read before they write. */
  readonly turns: Turns
  /** @throws InvalidOptionError if the application gave no embedder */
  readonly recall: () => Recall
  /** The next number of this writer. The caller must join the thread's queue in the same turn of the event loop. */
  nextToken(): Token
  /** Called with messages that were appended. */
  noted(id: ThreadId, messages: readonly PreparedMessage[], generation: number | undefined): void
  /** Reads from Redis or, in an outage, from this process. */
  read<T>(read: (store: ThreadBackend) => Promise<T>): Promise<Answer<T>>
  /** The same for a write, after the thread's earlier writes. */
  write<T>(id: ThreadId, write: (store: ThreadBackend) => Promise<T>): Promise<Answer<T>>
  append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    options: AppendGuards,
  ): Promise<Answer<AppendOutcome>>
}
