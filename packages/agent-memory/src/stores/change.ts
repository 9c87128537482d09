import type { PreparedMessage } from '../messages/prepare.js'
import type { Limit } from './limits.js'
import type { ThreadVersion } from './thread-id.js'
import type { Token } from './token.js'

/** A change of a thread other than an append. Each may be repeated. */
export type Change =
  /** Replaces the body of a message; its tool calls and results must stay the same. */
  | {
      readonly kind: 'edit'
      /** Names the change, here and below, so that repeating it has no effect. */
      readonly token: Token
      readonly message: PreparedMessage
      readonly revision?: number | undefined
    }
  /** Removes a message; its id stays known, so that no late write brings it back. */
  | { readonly kind: 'remove'; readonly id: string }
  /** Pins a message, so that every window contains it, or unpins it. */
  | { readonly kind: 'pin'; readonly id: string; readonly pinned: boolean }
  /** Replaces the newest messages, if they are the expected ones. */
  | {
      readonly kind: 'splice'
      readonly token: Token
      /** Distinguishes operations under the same token. @default computed from ids and bodies */
      readonly digest?: string | undefined
      readonly expected: readonly { readonly id: string; readonly digest?: string | undefined }[]
      readonly messages: readonly PreparedMessage[]
    }
  /** Makes the thread contain the given messages: appends new ones, and edits changed ones in place. */
  | {
      readonly kind: 'put'
      readonly token: Token
      readonly messages: readonly PreparedMessage[]
      /**
       * Removes other messages between these seqs, and gives the thread the order of the list. `from` 0: from
       * the first given message that exists.
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
  /** Puts a summary over the beginning of the thread, if no earlier record changed since it was planned. */
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

/** The outcome of a change, and the thread's version after it. */
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
      /** Number of removed messages. */
      readonly removed: number
      /** Indexes in the list of messages that are new or have another body now. */
      readonly altered: readonly number[]
    }
  | { readonly status: 'done'; readonly kind: 'state'; readonly valueVersion: number; readonly value: string }
  | { readonly status: 'done'; readonly kind: 'summarise'; readonly number: number }
  /** There is no such message. */
  | { readonly status: 'missing' }
  /** The thread or the value is not in the state that the change expected. */
  | { readonly status: 'conflict'; readonly current?: number; readonly id?: string }
  /** An edit would change tool calls or results, or a message to pin has some. */
  | { readonly status: 'calls' }
  /** The value to add to is not a number. */
  | { readonly status: 'number' }
  | { readonly status: 'full'; readonly limit: Limit }
  /** The token named another operation. */
  | { readonly status: 'reused' }
  /** The change was done before, and so were later ones of its writer: the outcome is no longer known. */
  | { readonly status: 'past' }
  /** The thread was deleted since the change was accepted. */
  | { readonly status: 'deleted' }
