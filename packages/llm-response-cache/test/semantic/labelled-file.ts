import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { parse } from 'csv-parse/sync'
import type { LabelledPair } from '../../src/semantic/evaluate.js'

/** What the public sets call the two texts and the label. */
const names = {
  a: ['a', 'text_a', 'question1', 'sentence1', 'sentence_a', 'origin', 'q1'],
  b: ['b', 'text_b', 'question2', 'sentence2', 'sentence_b', 'similar', 'q2'],
  same: ['same', 'label', 'is_duplicate', 'duplicate', 'quality', 'is_paraphrase'],
}

/** Reads labelled pairs: JSON, JSON lines, CSV or TSV with a line of names, also gzipped. @throws Error that names the line */
export async function readLabelledFile(path: string): Promise<readonly LabelledPair[]> {
  const bytes = await readFile(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  return readLabelled(text, path.replace(/\.gz$/, ''))
}

export function readLabelled(text: string, name: string): readonly LabelledPair[] {
  return rowsOf(text, name).map((row, at) => {
    const [a, b, label] = [names.a, names.b, names.same].map((choices) => field(row, choices))
    if (typeof a !== 'string' || typeof b !== 'string' || label === undefined) {
      throw new Error(
        `${name}, pair ${at + 1}: expected two texts and a label, got ${Object.keys(row).join(', ')}`,
      )
    }
    return { a, b, same: readLabel(label, name, at) }
  })
}

function rowsOf(text: string, name: string): readonly Record<string, unknown>[] {
  if (name.endsWith('.json')) {
    const value: unknown = JSON.parse(text)
    const list = Array.isArray(value) ? value : Object.values(value as object).find(Array.isArray)
    if (!Array.isArray(list)) throw new Error(`${name}: expected an array of pairs`)
    return list
  }
  if (/\.(?:jsonl|ndjson)$/.test(name)) {
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map((line) => JSON.parse(line))
  }
  const isTabbed = /\.(?:tsv|txt)$/.test(name)
  return parse(text, {
    columns: true,
    bom: true,
    skip_empty_lines: true,
    relax_column_count: true,
    ...(isTabbed ? { delimiter: '\t', quote: null } : {}),
  })
}

function field(row: Record<string, unknown>, choices: readonly string[]): unknown {
  const found = Object.keys(row).find((key) => choices.includes(key.trim().toLowerCase()))
  return found === undefined ? undefined : row[found]
}

function readLabel(label: unknown, name: string, at: number): boolean {
  if (typeof label === 'boolean') return label
  const text = String(label).trim().toLowerCase()
  if (['1', '1.0', 'true', 'yes', 'entailment', 'duplicate', 'paraphrase'].includes(text)) return true
  if (['0', '0.0', 'false', 'no', 'neutral', 'contradiction', 'different'].includes(text)) return false
  throw new Error(`${name}, pair ${at + 1}: '${text}' is no label; 1 or 0, true or false`)
}
