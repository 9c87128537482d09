import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readLabelled, readLabelledFile } from './labelled-file.js'
import { labelledSet } from './labelled-set.js'

const pairs = [
  { a: 'How old, "really", is it?', b: 'What is its age?', same: true },
  { a: 'one', b: 'two', same: false },
]

describe('labelled pairs are read from', () => {
  it.each([
    ['set.json', JSON.stringify(pairs)],
    [
      'set.json',
      JSON.stringify({
        data: pairs.map(({ a, b, same }) => ({ text_a: a, text_b: b, label: same ? 1 : 0 })),
      }),
    ],
    [
      'set.jsonl',
      pairs
        .map(({ a, b, same }) => JSON.stringify({ question1: a, question2: b, is_duplicate: same }))
        .join('\n'),
    ],
    [
      'set.csv',
      'id,question1,question2,is_duplicate\n1,"How old, ""really"", is it?",What is its age?,1\n2,one,two,0\n',
    ],
    [
      'set.tsv',
      'Quality\tsentence1\tsentence2\n1\tHow old, "really", is it?\tWhat is its age?\n0\tone\ttwo\n',
    ],
  ])('%s', (name, text) => {
    expect(readLabelled(text, name)).toEqual(pairs)
  })

  it('a gzipped file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'evenkeel-'))
    const path = join(folder, 'set.json.gz')
    await writeFile(path, gzipSync(JSON.stringify(pairs)))
    expect(await readLabelledFile(path)).toEqual(pairs)
    await rm(folder, { recursive: true })
  })

  it('no file that lacks a label, and says where', () => {
    expect(() => readLabelled('[{"a":"x","b":"y","same":true},{"a":"x","b":"y"}]', 'f.json')).toThrow(
      'f.json, pair 2',
    )
    expect(() => readLabelled('[{"a":"x","b":"y","same":"maybe"}]', 'f.json')).toThrow("'maybe' is no label")
  })
})

describe('the set that is built by rule', () => {
  it('is the same for a seed, half of it with one answer, with every kind of hard negative', () => {
    const set = labelledSet(4_000, 1)
    expect(labelledSet(4_000, 1)).toEqual(set)
    expect(labelledSet(4_000, 2)).not.toEqual(set)
    const same = set.filter((pair) => pair.same).length / set.length
    expect(same).toBeGreaterThan(0.4)
    expect(same).toBeLessThan(0.65)
    const kinds = new Set(set.map(({ kind }) => kind))
    expect([...kinds].sort()).toEqual([
      'code',
      'name',
      'negation',
      'number',
      'opposite',
      'order',
      'paraphrase',
      'stranger',
      'topic',
      'unit',
    ])
    for (const { a, b } of set) expect(a).not.toBe(b)
  })
})
