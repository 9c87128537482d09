import type { PreparedMessage } from '../messages/prepare.js'
import type { Limit } from './limits.js'
import type { ThreadVersion } from './thread-id.js'
import type { Token } from './token.js'

/** A change of a thread that is no append. Each may be repeated. */
export type Change =
  /** Another body for a message; its tool calls and results must stay the same. */
  | {
      readonly kind: 'edit'
      /** Names the change, so that repeating it is none; so it does wherever there is one. */
      readonly token: Token
      readonly message: PreparedMessage
      readonly revision?: number | undefined
    }
  /** A message goes; its id stays known, so that no late write brings it back. */
  | { readonly kind: 'remove'; readonly id: string }
  /** Puts a message among those that every window holds, or takes it from them. */
  | { readonly kind: 'pin'; readonly id: string; readonly pinned: boolean }
  /** The newest messages are replaced, if they are the expected ones. */
  | {
      readonly kind: 'splice'
      readonly token: Token
      /** Tells one operation from another under the same token; made of ids and bodies when absent. */
      readonly digest?: string | undefined
      readonly expected: readonly { readonly id: string; readonly digest?: string | undefined }[]
      readonly messages: readonly PreparedMessage[]
    }
  /** The thread holds the messages as they are given: new ones at its end, changed ones where they are. */
  | {
      readonly kind: 'put'
      readonly token: Token
      readonly messages: readonly PreparedMessage[]
      /**
       * Messages between these seqs that are not given go, and the thread has the order of the list. `from` 0: from
       * the first given message that is there.
       */
      readonly removes?: { readonly from: number; readonly upTo: number } | undefined
    }
  | {
      readonly kind: 'set'
      readonly token: Token
      readonly key: string
      /** As JSON. */
      readonly value: string
      /** The version that the value must have; 0 for none there. */
      readonly version?: number | undefined
    }
  | { readonly kind: 'add'; readonly token: Token; readonly key: string; readonly by: number }
  | {
      readonly kind: 'unset'
      readonly token: Token
      readonly key: string
      readonly version?: number | undefined
    }
  /** Puts a summary over the beginning of the thread, if nothing of it changed since it was planned. */
  | {
      readonly kind: 'summarise'
      readonly plan: string
      readonly to: number
      /** Number of the summary before, 0 for none. */
      readonly before: number
      /** {@link ThreadVersion.edited} as it was when planned. */
      readonly edited: number
      readonly tokens: number
      readonly body: string
    }

/** What a change came to. */
export type Changed = ChangeOutcome & ThreadVersion

export type ChangeOutcome =
  | { readonly status: 'done'; readonly kind: 'edit'; readonly seq: number; readonly revision: number }
  | { readonly status: 'done'; readonly kind: 'remove' | 'pin'; readonly seq: number }
  | { readonly status: 'done'; readonly kind: 'splice'; readonly seqs: readonly number[] }
  | {
      readonly status: 'done'
      readonly kind: 'put'
      readonly seqs: readonly number[]
      /** The thread's newest seq before: what is above it is new. */
      readonly before: number
      /** Messages that went. */
      readonly removed: number
      /** Places in the list of those that are new or have another body now. */
      readonly altered: readonly number[]
    }
  | { readonly status: 'done'; readonly kind: 'state'; readonly valueVersion: number; readonly value: string }
  | { readonly status: 'done'; readonly kind: 'summarise'; readonly number: number }
  /** The message is not there. */
  | { readonly status: 'missing' }
  /** What the change expected is not so. */
  | { readonly status: 'conflict'; readonly current?: number; readonly id?: string }
  /** An edit would change tool calls or results, or what is pinned has some. */
  | { readonly status: 'calls' }
  /** What is added to is not a number. */
  | { readonly status: 'number' }
  | { readonly status: 'full'; readonly limit: Limit }
  /** The token named another operation. */
  | { readonly status: 'reused' }
  /** It was done before, and so were later ones of its writer: what it came to is not known any more. */
  | { readonly status: 'past' }
  /** The thread was deleted since the change was accepted. */
  | { readonly status: 'deleted' }
