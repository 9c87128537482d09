import { crc32 } from 'node:zlib'
import type { ThreadWrite } from './entry.js'

/** A line of a journal's file: an entry, or the numbers of entries that are done with. */
export type Line = { readonly number: number; readonly entry: ThreadWrite } | { readonly done: number }

/** One line: eight hex digits of CRC-32, a blank, JSON. */
export function encodeLine(line: Line): string {
  const json =
    'done' in line
      ? JSON.stringify({ d: line.done })
      : JSON.stringify({ n: line.number, i: line.entry.id, w: line.entry.write })
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`
}

/**
 * The entries of a file that are not done with, in order, and the number of lines that are not whole: a last
 * one that a crash cut off, or what a disk has spoilt. Every whole line is an acknowledged write of its own.
 */
export function decodeLines(text: string): {
  readonly entries: readonly ThreadWrite[]
  readonly spoilt: number
} {
  const open = new Map<number, ThreadWrite>()
  let spoilt = 0
  for (const own of text.split('\n')) {
    if (own === '') continue
    const line = parse(own)
    if (line === undefined) spoilt++
    else if ('done' in line) open.delete(line.done)
    else open.set(line.number, line.entry)
  }
  return { entries: [...open.values()], spoilt }
}

function parse(line: string): Line | undefined {
  const json = line.slice(9)
  if (line[8] !== ' ' || crc32(json).toString(16).padStart(8, '0') !== line.slice(0, 8)) return undefined
  const value = JSON.parse(json)
  return 'd' in value ? { done: value.d } : { number: value.n, entry: { id: value.i, write: value.w } }
}
