import { setTimeout as pause } from 'node:timers/promises'
import type { AgentMemory, Owner, Receipt } from '@evenkeel/agent-memory'
import { EvenkeelError } from '@evenkeel/core'

/** The walks of one turn. A walk that an outage refused is no fault. */
export interface Walked {
  readonly done: number
  readonly refused: number
  readonly faults: readonly string[]
}

const threads = 25

/**
 * All operations on many threads, while a writer changes them: lists, owners, backups, an erasure, drafts and a feed.
 * What was acknowledged as stored before a walk began must be in it exactly once.
 */
export class Walks {
  readonly #memory: AgentMemory
  readonly #name: string
  readonly #owner: Owner
  /** What is stored, by thread. */
  readonly #stored = new Map<string, string[]>()
  readonly #following = new AbortController()
  #faults: string[] = []
  #done = 0
  #refused = 0
  #turn = 0
  #messages = 0
  #fed = 0

  constructor(memory: AgentMemory, name: string) {
    this.#memory = memory
    this.#name = name
    this.#owner = memory.owner(`walked by ${name}`)
    void this.#follow()
  }

  async turn(): Promise<Walked> {
    this.#turn++
    for (let at = 0; at < threads; at++) await this.#try('append', () => this.#write(`t${at}`))
    let isWriting = true
    const writing = (async () => {
      while (isWriting) {
        await this.#write(`t${this.#messages % threads}`).catch(() => {})
        await pause(2)
      }
    })()
    await this.#try('list', () => this.#list())
    await this.#try('owners', () => this.#owners())
    await this.#try('backup', () => this.#backup())
    await this.#try('draft', () => this.#draft())
    await this.#try('erase', () => this.#erase())
    isWriting = false
    await writing
    const walked = { done: this.#done, refused: this.#refused, faults: this.#faults }
    this.#done = 0
    this.#refused = 0
    this.#faults = []
    return walked
  }

  end(): void {
    this.#following.abort()
  }

  async #try(what: string, walk: () => Promise<void>): Promise<void> {
    try {
      await walk()
      this.#done++
    } catch (error) {
      if (EvenkeelError.isInstance(error)) this.#refused++
      else this.#fault(`${what}: ${error}`)
    }
  }

  #fault(what: string): void {
    this.#faults.push(`${this.#name}, turn ${this.#turn}: ${what}`)
  }

  async #write(thread: string): Promise<void> {
    const id = `m${this.#messages++}`
    const receipt: Receipt = await this.#owner.thread(thread).append({ id, role: 'user', content: id })
    if (receipt.status !== 'stored') return
    this.#stored.set(thread, [...(this.#stored.get(thread) ?? []), id])
  }

  async #list(): Promise<void> {
    const before = [...this.#stored.keys()]
    const listed: string[] = []
    for await (const { id } of this.#owner.threads()) listed.push(id)
    this.#each('list', before, listed)
    const paged: string[] = []
    const beforePages = [...this.#stored.keys()]
    for (let cursor: string | undefined, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
      const page = await this.#owner.listThreads({ limit: 7, cursor })
      paged.push(...page.threads.map(({ id }) => id))
      cursor = page.cursor
    }
    this.#each('pages', beforePages, paged)
  }

  async #owners(): Promise<void> {
    if (this.#stored.size === 0) return
    const all: string[] = []
    for await (const owner of this.#memory.owners()) all.push(owner)
    this.#each('owners', [this.#owner.id], all)
  }

  async #backup(): Promise<void> {
    const before = [...this.#stored].flatMap(([thread, ids]) => ids.map((id) => `${thread}/${id}`))
    const found: string[] = []
    let thread = ''
    for await (const text of this.#memory.backup([this.#owner.id])) {
      const line = JSON.parse(text) as { kind: string; id?: { thread: string }; record?: { id: string } }
      if (line.kind === 'thread') thread = line.id?.thread ?? ''
      if (line.kind === 'message') found.push(`${thread}/${line.record?.id}`)
    }
    this.#each('backup', before, found)
  }

  /** An answer that is streamed and finalised is stored once. */
  async #draft(): Promise<void> {
    const thread = this.#owner.thread('drafted')
    const draft = thread.draft()
    for (const part of ['one ', 'two ', 'three']) draft.write(part)
    await draft.flush()
    const id = `answer ${this.#turn}`
    const { status } = await draft.finalize({ id, role: 'assistant', content: 'one two three' })
    if (status !== 'stored') return
    const ids: string[] = []
    for (let after: number | undefined = 0; after !== undefined; ) {
      const page = await thread.page({ after, limit: 500 })
      if (page.stale || !page.complete) return
      ids.push(...page.entries.map(({ message }) => message.id))
      after = page.next
    }
    this.#each('draft', [id], ids)
  }

  /** What is erased stays erased, even if a draft from before is finalised. */
  async #erase(): Promise<void> {
    const owner = this.#memory.owner(`forgotten ${this.#turn} by ${this.#name}`)
    for (const thread of ['a', 'b']) {
      await owner.thread(thread).append({ id: 'secret', role: 'user', content: 'secret' })
    }
    const draft = owner.thread('a').draft()
    draft.write('secret')
    await draft.flush()
    const { verified } = await owner.erase()
    if (!verified) return this.#fault('erase: something is left')
    const { status } = await draft.finalize({ id: 'late', role: 'assistant', content: 'secret' })
    if (status === 'stored') this.#fault('erase: a draft of before was stored')
    const left: string[] = []
    for await (const { id } of owner.threads()) left.push(id)
    if (left.length > 0) this.#fault(`erase: ${left} came back`)
    const page = await owner.thread('a').page()
    if (!page.stale && page.entries.length > 0) this.#fault('erase: a message came back')
  }

  /** A feed gives every message of a thread once, in its order, however often Redis goes away. */
  async #follow(): Promise<void> {
    const feed = this.#owner.thread('t0').subscribe({ after: 0, signal: this.#following.signal })
    for await (const event of feed) {
      if (event.kind !== 'appended') {
        this.#fault(`feed: ${event.kind}`)
        continue
      }
      for (const { seq } of event.entries) {
        if (seq !== ++this.#fed) this.#fault(`feed: ${seq} where ${this.#fed} was next`)
        this.#fed = seq
      }
    }
  }

  /** A walk must find everything in `before`, and nothing twice. */
  #each(what: string, before: readonly string[], found: readonly string[]): void {
    const met = new Set(found)
    const missing = before.filter((one) => !met.has(one))
    if (missing.length > 0) this.#fault(`${what}: without ${missing.slice(0, 3)} (${missing.length})`)
    if (met.size !== found.length) this.#fault(`${what}: ${found.length - met.size} twice`)
  }
}
