import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { chatJob, userOf, type Workload, withCompany } from './workload.js'

/** The length of a block in Mooncake's trace. */
const blockTokens = 512
/** Longer answers are shortened to this, so that a demo of minutes can replay an hour. */
const maxAnswerTokens = 64
/** The most requests a second that a replay sends, because the stand-in decoders can serve no more. */
const maxPerSecond = 60

export interface TraceRow {
  readonly atMs: number
  readonly promptTokens: number
  readonly answerTokens: number
  /** Ids of the prompt's blocks; equal ids at equal places are equal text. */
  readonly blocks: readonly number[] | undefined
}

/** Reads a trace in the format that its file name says: `.csv` is Azure's, `.jsonl` is Mooncake's. */
export async function readTrace(path: string, limit: number): Promise<readonly TraceRow[]> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => line.trim() !== '')
  if (path.endsWith('.csv')) return parseAzure(lines.slice(0, limit + 1))
  if (path.endsWith('.jsonl')) return parseMooncake(lines.slice(0, limit))
  throw new Error(`${basename(path)}: expected a name ending in .csv (Azure) or .jsonl (Mooncake)`)
}

/** `TIMESTAMP,ContextTokens,GeneratedTokens`; times are in UTC, to a ten-millionth of a second. */
export function parseAzure([header = '', ...lines]: readonly string[]): readonly TraceRow[] {
  if (!header.startsWith('TIMESTAMP,ContextTokens,GeneratedTokens'))
    throw new Error(`Not Azure's columns: ${header}`)
  const times = lines.map((line) => Date.parse(`${line.split(',')[0]?.replace(' ', 'T').slice(0, 23)}Z`))
  return lines.map((line, index) => {
    const [, promptTokens, answerTokens] = line.split(',').map(Number)
    const atMs = (times[index] ?? 0) - (times[0] ?? 0)
    return checked(
      {
        atMs,
        promptTokens: promptTokens ?? Number.NaN,
        answerTokens: answerTokens ?? Number.NaN,
        blocks: undefined,
      },
      index,
    )
  })
}

/** One JSON object a line: `timestamp` in ms, `input_length`, `output_length`, `hash_ids`. */
export function parseMooncake(lines: readonly string[]): readonly TraceRow[] {
  return lines.map((line, index) => {
    const row = fieldsOf(line, index)
    return checked(
      {
        atMs: Number(row.timestamp),
        promptTokens: Number(row.input_length),
        answerTokens: Number(row.output_length),
        blocks: Array.isArray(row.hash_ids) ? row.hash_ids : [],
      },
      index,
    )
  })
}

function fieldsOf(line: string, index: number): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line) ?? {}
  } catch (cause) {
    throw new Error(`Line ${index + 1} of the trace is no JSON`, { cause })
  }
}

function checked(row: TraceRow, index: number): TraceRow {
  if (
    ![row.atMs, row.promptTokens, row.answerTokens].every((value) => Number.isFinite(value) && value >= 0)
  ) {
    throw new Error(`Line ${index + 1} of the trace has no time or no lengths`)
  }
  return row
}

/** Makes the text of a prompt; blocks with the same id have the same text. */
export function promptOf({ blocks, promptTokens }: TraceRow, index: number): string {
  if (blocks === undefined) return textOf(`request ${index}`, promptTokens)
  return blocks
    .map((id, place) => textOf(`block ${id}`, Math.min(blockTokens, promptTokens - place * blockTokens)))
    .join('')
}

/** Four characters a token. */
function textOf(seed: string, tokens: number): string {
  const length = Math.max(1, tokens) * 4
  return `${seed}: `.repeat(Math.ceil(length / (seed.length + 2))).slice(0, length)
}

export async function traceWorkload(
  path: string,
  speed: number,
  requests: number,
  greedyRequests: number,
): Promise<Workload> {
  const rows = await readTrace(path, requests)
  if (rows.length === 0) throw new Error(`${basename(path)} holds no requests`)
  const traceMs = rows.at(-1)?.atMs ?? 0
  const durationMs = Math.max(traceMs / speed, (rows.length / maxPerSecond) * 1_000)
  const stretch = traceMs > 0 ? durationMs / traceMs : 0
  const jobs = rows.map((row, index) => {
    const maxTokens = Math.max(1, Math.min(maxAnswerTokens, row.answerTokens))
    const user = userOf(index, rows.length)
    return chatJob(row.atMs * stretch, user, promptOf(row, index), maxTokens, index % 2 === 0)
  })
  const sooner = Math.round(traceMs / durationMs)
  const name = `${rows.length} requests of ${basename(path)}, ${sooner} times as fast`
  return withCompany(name, jobs, greedyRequests, durationMs)
}
