import type { MessageRecord } from '../messages/record.js'
import type { Page, PageRequest, Tail, TailRequest } from '../stores/port.js'
import type { ThreadImage } from './thread-image.js'

/** Maximum bytes of a window's messages, apart from the newest one; scripts/thread/tail.lua has the same limit. */
const maxWindowBytes = 16 << 20

/** The newest records within all bounds, as scripts/thread/tail.lua reads them. */
export function tailOf(
  log: ThreadImage,
  { maxMessages, maxTokens, maxTurns = Number.POSITIVE_INFINITY }: TailRequest,
): Tail {
  const [summary] = log.summaries
  const floor = (summary?.to ?? 0) + 1
  const records: MessageRecord[] = []
  let cut = 0
  let [tokens, isCut, from] = [0, false, log.newest + 1]
  let bytes = 0
  let newestTurn: number | undefined
  for (const record of log.downFrom(log.newest)) {
    if (record.seq < floor) break
    newestTurn ??= record.turn
    tokens += record.tokens
    bytes += Buffer.byteLength(record.body)
    isCut =
      records.length >= maxMessages ||
      tokens > maxTokens ||
      record.turn <= newestTurn - maxTurns ||
      (bytes > maxWindowBytes && records.length > 0)
    if (isCut) {
      const isCall = record.opens.length + record.answers.length > 0
      if (records.length < maxMessages && tokens > maxTokens && isCall) cut = record.tokens
      break
    }
    records.push(record)
    from = record.seq
  }
  // If all records that no summary covers are included, nothing is missing before them.
  if (!isCut && records.length < maxMessages) from = 1
  const asked = records.some(asks) ? undefined : newestQuestion(log, from, floor)
  const pinned = log.pinned.flatMap((seq) => log.at(seq) ?? [])
  const { count, newest } = log
  return {
    kind: 'tail',
    ...log.standing(),
    count,
    newest,
    records: records.reverse(),
    from,
    pinned,
    summary,
    asked,
    cut,
  }
}

/** Records by seq or id, as scripts/thread/page.lua reads them. */
export function pageOf(log: ThreadImage, request: PageRequest): Page {
  const { count, newest } = log
  const standing = { ...log.standing(), count, newest }
  if ('ids' in request) {
    return { ...standing, records: request.ids.flatMap((id) => log.find(id) ?? []), next: undefined }
  }
  const up = 'after' in request
  const step = up ? 1 : -1
  const records: MessageRecord[] = []
  let seq = up ? Math.max(1, request.after + 1) : Math.min(newest, request.before - 1)
  for (let looks = 4 * request.limit + 100; seq >= 1 && seq <= newest; seq += step, looks--) {
    if (records.length >= request.limit || looks === 0) return { ...standing, records, next: seq - step }
    const record = log.at(seq)
    if (record !== undefined) records.push(record)
  }
  return { ...standing, records, next: undefined }
}

/** Whether a message is a user's question to the model: it answers no tool call. */
export function asks({ role, answers }: MessageRecord): boolean {
  return role === 'user' && answers.length === 0
}

function newestQuestion(image: ThreadImage, before: number, floor: number): MessageRecord | undefined {
  for (const record of image.downFrom(before - 1)) {
    if (record.seq < floor || record.seq < before - 1_000) return undefined
    if (asks(record)) return record
  }
  return undefined
}
