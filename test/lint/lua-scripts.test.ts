import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const packages = fileURLToPath(new URL('../../packages/', import.meta.url))

interface Script {
  readonly name: string
  /** Its lines without comments, blank ones and indentation; includes are not resolved. */
  readonly lines: readonly string[]
}

const scripts: readonly Script[] = readdirSync(packages, { recursive: true, encoding: 'utf8' })
  .filter((name) => /^[^/]+\/src\/.*\.lua$/.test(name))
  .map((name) => ({
    name,
    lines: readFileSync(`${packages}${name}`, 'utf8')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('--')),
  }))

/** The bodies of a script's functions, without their names, up to the `end` of the same depth. */
function functionsOf({ lines }: Script): string[] {
  return lines.flatMap((line, first) => {
    const head = /^local function \w+|^local \w+ = function/.exec(line)?.[0]
    if (head === undefined) return []
    let depth = 0
    const last = lines.findIndex((later, index) => {
      if (index < first) return false
      depth += (later.match(/\b(?:function|if|do)\b/g) ?? []).length - (later.match(/\bend\b/g) ?? []).length
      return depth === 0
    })
    return [[line.slice(head.length), ...lines.slice(first + 1, last + 1)].join('\n')]
  })
}

/** Passages of four lines, not counting lines that are only `end` or `else`. */
function passagesOf({ lines }: Script): string[] {
  const telling = lines.filter((line) => line !== 'end' && line !== 'else')
  return telling.slice(3).map((_, index) => telling.slice(index, index + 4).join('\n'))
}

/** The texts that more than one script contains, with the scripts' names. */
function heldTwice(partsOf: (script: Script) => string[]): [string, string[]][] {
  const holders = new Map<string, Set<string>>()
  for (const script of scripts) {
    for (const part of partsOf(script)) {
      const names = holders.get(part) ?? new Set()
      holders.set(part, names.add(script.name))
    }
  }
  return [...holders].filter(([, names]) => names.size > 1).map(([part, names]) => [part, [...names]])
}

describe('Lua scripts', () => {
  it('ask for the time by the include "clock" only', () => {
    const askers = scripts.filter(({ lines }) => lines.some((line) => /call\(\s*['"]TIME['"]/.test(line)))
    expect(askers.map(({ name }) => name)).toEqual(['core/src/scripts/include/clock.lua'])
  })

  it('hold no function that another one holds', () => {
    expect(scripts.flatMap(functionsOf).length).toBeGreaterThan(50)
    expect(heldTwice(functionsOf)).toEqual([])
  })

  it('hold no four lines that another one holds', () => {
    expect(scripts.flatMap(passagesOf).length).toBeGreaterThan(1_000)
    expect(heldTwice(passagesOf)).toEqual([])
  })
})
