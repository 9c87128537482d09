import { type Answer, InvalidInputError } from '@evenkeel/core'
import { checkSubject } from '@evenkeel/core/kit'
import type { ChangeResult } from '../backends/port.js'
import { MessageTooLargeError, VersionConflictError } from '../errors.js'
import { fromJson, toJson } from '../messages/json.js'
import type { Change } from '../stores/change.js'
import type { StateValue } from '../stores/port.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import type { ThreadContext } from './context.js'
import type { ChangeReceipt } from './entry.js'
import { errorOf, wholeInput } from './receipts.js'
import type { StateEntry, StateReceipt, ThreadState } from './thread.js'

export class StateHandle implements ThreadState {
  readonly #context: ThreadContext
  readonly #change: (change: Change) => Promise<Answer<ChangeResult>>
  readonly #id: ThreadId

  constructor(
    context: ThreadContext,
    change: (change: Change) => Promise<Answer<ChangeResult>>,
    id: ThreadId,
  ) {
    this.#context = context
    this.#change = change
    this.#id = id
  }

  async get<T = unknown>(key: string): Promise<StateEntry<T> | undefined> {
    const keys = [keyOf(key)]
    const { value } = await this.#context.read((store) => store.state(this.#id, keys))
    const stored = value.values.get(key)
    return stored === undefined ? undefined : (entryOf(stored) as StateEntry<T>)
  }

  async entries(): Promise<ReadonlyMap<string, StateEntry>> {
    const { value } = await this.#context.read((store) => store.state(this.#id))
    return new Map([...value.values].map(([key, stored]) => [key, entryOf(stored)]))
  }

  async set(
    key: string,
    value: unknown,
    options: { ifVersion?: number | undefined } = {},
  ): Promise<StateReceipt> {
    const json = toJson('value', value)
    const { maxMessageBytes } = this.#context.options
    const bytes = Buffer.byteLength(json)
    if (bytes > maxMessageBytes) throw new MessageTooLargeError('value', bytes, maxMessageBytes)
    const version =
      options.ifVersion === undefined ? undefined : wholeInput('ifVersion', options.ifVersion, 0)
    const change = {
      kind: 'set',
      token: this.#context.nextToken(),
      key: keyOf(key),
      value: json,
      version,
    } as const
    const { receipt, valueVersion } = await this.#write(change)
    return { ...receipt, valueVersion }
  }

  update<T>(key: string, change: (value: T | undefined) => T | Promise<T>): Promise<StateEntry<T>> {
    const name = `${textOf(this.#id)} $${key}`
    const isAgain = (error: unknown) => error instanceof VersionConflictError
    return this.#context.turns.in(
      name,
      async () => {
        const known = await this.get<T>(key)
        const value = await change(known?.value)
        const { valueVersion } = await this.set(key, value, { ifVersion: known?.version ?? 0 })
        return { value, version: valueVersion }
      },
      isAgain,
    )
  }

  async increment(key: string, by = 1): Promise<StateReceipt & { readonly value: number | undefined }> {
    if (!Number.isFinite(by)) throw new InvalidInputError('by', 'a number', by)
    const { receipt, valueVersion, value } = await this.#write({
      kind: 'add',
      token: this.#context.nextToken(),
      key: keyOf(key),
      by,
    })
    return { ...receipt, valueVersion, value: value === '' ? undefined : Number(value) }
  }

  async delete(key: string, options: { ifVersion?: number | undefined } = {}): Promise<ChangeReceipt> {
    const version =
      options.ifVersion === undefined ? undefined : wholeInput('ifVersion', options.ifVersion, 0)
    return (await this.#write({ kind: 'unset', token: this.#context.nextToken(), key: keyOf(key), version }))
      .receipt
  }

  async #write(change: Change): Promise<{ receipt: ChangeReceipt; valueVersion: number; value: string }> {
    const { value: done, source } = await this.#change(change)
    if (done.journaled) {
      return { receipt: { status: 'journaled', version: done.version, source }, valueVersion: 0, value: '' }
    }
    if (done.status === 'number') throw new InvalidInputError('key', 'a key whose value is a number', change)
    if (done.status !== 'done' || done.kind !== 'state') throw errorOf(done, 'The value')
    const receipt = { status: 'stored', version: done.version, source } as const
    return { receipt, valueVersion: done.valueVersion, value: done.value }
  }
}

function keyOf(key: string): string {
  return checkSubject('key', key, 256)
}

function entryOf({ version, value }: StateValue): StateEntry {
  return { value: fromJson(value), version }
}
