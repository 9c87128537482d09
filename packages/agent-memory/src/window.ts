import type { Record } from './store.js'

/**
 * The newest records that make a valid prompt: a tool call and all of its results are in it together, or
 * not at all. A call that was never answered is left out, unless it is the newest thing in the thread: then
 * its results are still to come.
 */
export function validWindow(records: readonly Record[], maxMessages: number): readonly Record[] {
  for (let from = Math.max(0, records.length - maxMessages); from < records.length; from++) {
    const window = records.slice(from)
    const oldest = window[0]?.seq ?? 0
    // A result whose call lies before the window would be an orphan.
    if (window[0]?.group === oldest && window.every(({ group }) => group >= oldest))
      return withoutUnanswered(window)
  }
  return []
}

function withoutUnanswered(window: readonly Record[]): readonly Record[] {
  const calls = new Map(window.map((record) => [record.seq, callsOf(record)]))
  const answered = new Map<number, number>()
  for (const { seq, group } of window) {
    if (group !== seq) answered.set(group, (answered.get(group) ?? 0) + 1)
  }
  const newestGroup = window.at(-1)?.group
  return window.filter(({ group, seq }) => {
    const open = calls.get(group) ?? 0
    // A result that answers no known call can't be placed.
    if (group === seq && open === 0) return !isResult(window.find((record) => record.seq === seq))
    return group === newestGroup || (answered.get(group) ?? 0) >= open
  })
}

interface Body {
  readonly tool_calls?: unknown
  readonly tool_call_id?: unknown
  readonly content?: unknown
}

function callsOf({ body }: Record): number {
  // Most messages make no call, and need not be parsed to know.
  if (!body.includes('"tool_calls"') && !body.includes('"tool_use"')) return 0
  const { tool_calls, content } = JSON.parse(body) as Body
  const calls = Array.isArray(tool_calls) ? tool_calls.length : 0
  const blocks = Array.isArray(content) ? (content as { type?: unknown }[]) : []
  return calls + blocks.filter((block) => block?.type === 'tool_use').length
}

function isResult(record: Record | undefined): boolean {
  if (record === undefined) return false
  return record.role === 'tool' || record.body.includes('"tool_result"')
}
