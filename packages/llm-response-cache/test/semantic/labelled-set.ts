import { createHash } from 'node:crypto'
import type { LabelledPair } from '../../src/semantic/evaluate.js'

export type Kind =
  | 'paraphrase'
  | 'number'
  | 'name'
  | 'negation'
  | 'unit'
  | 'code'
  | 'opposite'
  | 'order'
  | 'topic'
  | 'stranger'

export interface RuledPair extends LabelledPair {
  /** The rule that made it. */
  readonly kind: Kind
}

/** A question in several wordings that all want one answer. `{x}` is replaced; the same in each wording. */
interface Intent {
  readonly wordings: readonly string[]
  /** Wordings of the same words that want another answer. */
  readonly opposite?: readonly string[]
}

const places =
  'Paris London Berlin Madrid Lisbon Vienna Prague Dublin Oslo Warsaw Athens Rome Cairo Lima Quito Tokyo Seoul Delhi Nairobi Toronto'.split(
    ' ',
  )
const people =
  'Anna Bruno Carla David Elena Frank Greta Hugo Irene Jonas Karla Lukas Maria Nils Olga Peter Rosa Simon Tanja Viktor'.split(
    ' ',
  )
const products = 'Falcon Comet Nimbus Orbit Pulsar Quasar Raven Sphinx Titan Vector Willow Zephyr'.split(' ')
const codes = [
  '`npm install`',
  '`git rebase`',
  '`docker build`',
  '`kubectl apply`',
  '`pip freeze`',
  '`cargo test`',
  '`make clean`',
  '`yarn link`',
  '`terraform plan`',
  '`ls -la`',
]
const functions =
  'parse_date read_file send_mail load_user merge_rows split_text sort_keys trim_log open_port flush_cache'.split(
    ' ',
  )
const units = [
  ['km', 'miles'],
  ['kg', 'pounds'],
  ['liters', 'gallons'],
  ['meters', 'feet'],
  ['euros', 'dollars'],
  ['hours', 'days'],
  ['minutes', 'seconds'],
  ['GB', 'TB'],
] as const

const intents: readonly Intent[] = [
  {
    wordings: [
      'What is the weather like in {place} in {n} days?',
      'Tell me what the weather in {place} will be like in {n} days',
      'weather in {place} in {n} days please',
      'Could you tell me the weather for {place} in {n} days?',
    ],
    opposite: [
      'What is the traffic like in {place} in {n} days?',
      'What are the hotel prices like in {place} in {n} days?',
    ],
  },
  {
    wordings: [
      'How do I enable dark mode in {product} version {n}?',
      'How can I enable dark mode in {product} version {n}?',
      'Please show me how to enable dark mode in version {n} of {product}',
      'I want to enable the dark mode in {product} version {n}, how?',
    ],
    opposite: [
      'How do I disable dark mode in {product} version {n}?',
      'How can I disable the dark mode in {product} version {n}?',
    ],
  },
  {
    wordings: [
      'How long does a train from {place} to {other} take?',
      'How long does the train take from {place} to {other}?',
      'How long would a train trip take from {place} to {other}?',
      'Please tell me how long a train takes from {place} to {other}',
    ],
    opposite: [
      'How long does a train from {other} to {place} take?',
      'How long does a bus from {place} to {other} take?',
    ],
  },
  {
    wordings: [
      'How many {unit} are {n} {base}?',
      'Convert {n} {base} to {unit}',
      'What is {n} {base} in {unit}?',
      'Please convert {n} {base} into {unit} for me',
    ],
  },
  {
    wordings: [
      'Can {person} cancel order {n} after it was shipped?',
      'Is it possible for {person} to cancel order {n} after it was shipped?',
      'Could {person} still cancel the order {n} after it was shipped?',
      'I would like to know if {person} can cancel order {n} after it shipped',
    ],
    opposite: [
      'Can {person} cancel order {n} before it was shipped?',
      'Can {person} return order {n} after it was shipped?',
    ],
  },
  {
    wordings: [
      'What does the command {code} do?',
      'Explain what the command {code} does',
      'Can you explain what the {code} command does?',
      'Please explain the command {code} to me',
    ],
    opposite: ['Why does the command {code} fail?', 'How can I undo the command {code}?'],
  },
  {
    wordings: [
      'Write a unit test for the function {fn} with {n} cases',
      'Please write a unit test with {n} cases for the function {fn}',
      'I need a unit test for {fn} with {n} cases, please write the function test',
      'Could you write a unit test with {n} cases for function {fn}?',
    ],
    opposite: [
      'Write a doc comment for the function {fn} with {n} cases',
      'Write a benchmark for the function {fn} with {n} cases',
    ],
  },
  {
    wordings: [
      'Which vaccines should a traveller get before visiting {place}?',
      'Which vaccines should I get before visiting {place} as a traveller?',
      'As a traveller visiting {place}, which vaccines should I get before?',
      'What vaccines should a traveller get before visiting {place}?',
    ],
    opposite: [
      'Which documents should a traveller get before visiting {place}?',
      'Which insurance should a traveller get before visiting {place}?',
    ],
  },
  {
    wordings: [
      'Is it safe to take {n} mg of ibuprofen with alcohol?',
      'Is taking {n} mg ibuprofen with alcohol safe?',
      'Would it be safe to take {n} mg of ibuprofen with some alcohol?',
      'Please tell me if it is safe to take {n} mg ibuprofen with alcohol',
    ],
    opposite: [
      'Is it safe to take {n} mg of ibuprofen without alcohol?',
      'Is it safe to take {n} mg of aspirin with alcohol?',
    ],
  },
  {
    wordings: [
      'Summarize the meeting notes that {person} sent to {someone}',
      'Please summarize the meeting notes {person} sent to {someone}',
      'Give me a summary: summarize the meeting notes that {person} sent to {someone}',
      'Could you summarize the notes of the meeting {person} sent to {someone}?',
    ],
    opposite: [
      'Summarize the meeting notes that {someone} sent to {person}',
      'Translate the meeting notes that {person} sent to {someone}',
    ],
  },
  {
    wordings: [
      'Increase the timeout of {product} to {n} seconds',
      'Please increase the {product} timeout to {n} seconds',
      'I want to increase the timeout of {product} to {n} seconds',
      'How do I increase the timeout for {product} to {n} seconds?',
    ],
    opposite: [
      'Decrease the timeout of {product} to {n} seconds',
      'Increase the cache size of {product} to {n} seconds',
    ],
  },
  {
    wordings: [
      'Does the {product} subscription include support on weekends for {n} users?',
      'Is support on weekends included in the {product} subscription for {n} users?',
      'I wonder if the {product} subscription for {n} users includes support on weekends',
      'Do weekends include support in the {product} subscription for {n} users?',
    ],
    opposite: [
      'Does the {product} subscription include backups on weekends for {n} users?',
      'Does the {product} trial include support on weekends for {n} users?',
    ],
  },
]

/**
 * Labelled pairs, made by rule from a seed: rewordings that want one answer, and hard negatives that differ
 * in little and want another. Half are the same. Equal seeds give equal sets.
 */
export function labelledSet(count: number, seed = 1): readonly RuledPair[] {
  const random = seededRandom(seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const pairs: RuledPair[] = []
  while (pairs.length < count) {
    const intent = pick(intents)
    const values = drawValues(pick, random)
    const a = fill(pick(intent.wordings), values)
    if (random() < 0.5) {
      const b = fill(pick(intent.wordings), values)
      if (a !== b) pairs.push({ a, b, same: true, kind: 'paraphrase' })
      continue
    }
    const kind = pick([
      'number',
      'name',
      'negation',
      'unit',
      'code',
      'opposite',
      'order',
      'topic',
      'stranger',
    ] as const)
    const b = negative(kind, intent, values, pick, random)
    if (b !== undefined && b !== a) pairs.push({ a, b, same: false, kind })
  }
  return pairs
}

type Values = Readonly<
  Record<'n' | 'place' | 'other' | 'person' | 'someone' | 'product' | 'code' | 'fn' | 'base' | 'unit', string>
>
type Pick = <T>(items: readonly T[]) => T

function drawValues(pick: Pick, random: () => number): Values {
  const [base, unit] = pick(units)
  const place = pick(places)
  const person = pick(people)
  return {
    n: String(2 + Math.floor(random() * 400)),
    place,
    other: pick(places.filter((name) => name !== place)),
    person,
    someone: pick(people.filter((name) => name !== person)),
    product: pick(products),
    code: pick(codes),
    fn: pick(functions),
    base,
    unit,
  }
}

/** Another question that looks like the first one; `undefined` if the rule does not fit the intent. */
function negative(
  kind: Kind,
  intent: Intent,
  values: Values,
  pick: Pick,
  random: () => number,
): string | undefined {
  // Half of them use exactly the same wording, which is the hardest case.
  const wording = pick(random() < 0.5 ? intent.wordings.slice(0, 1) : intent.wordings)
  const changed = (name: keyof Values, choices: readonly string[]) =>
    wording.includes(`{${name}}`)
      ? fill(wording, { ...values, [name]: pick(choices.filter((choice) => choice !== values[name])) })
      : undefined
  switch (kind) {
    case 'number':
      return changed('n', [
        values.n.length > 1 ? [...values.n].reverse().join('') : '7',
        `${values.n}0`,
        String(Number(values.n) + 1),
      ])
    case 'name':
      return (
        changed(
          'place',
          places.filter((name) => name !== values.other),
        ) ??
        changed(
          'person',
          people.filter((name) => name !== values.someone),
        ) ??
        changed('product', products)
      )
    case 'unit':
      return (
        changed(
          'unit',
          units.flat().filter((unit) => unit !== values.base),
        ) ??
        changed(
          'base',
          units.flat().filter((unit) => unit !== values.unit),
        )
      )
    case 'code':
      return changed('code', codes) ?? changed('fn', functions)
    case 'negation':
      return negated(fill(wording, values))
    case 'order':
      return wording.includes('{other}')
        ? fill(wording, { ...values, place: values.other, other: values.place })
        : wording.includes('{someone}')
          ? fill(wording, { ...values, person: values.someone, someone: values.person })
          : undefined
    case 'opposite':
      return intent.opposite && fill(pick(intent.opposite), values)
    case 'topic':
      return fill(pick(pick(intents.filter((other) => other !== intent)).wordings), values)
    default:
      return fill(pick(pick(intents.filter((other) => other !== intent)).wordings), drawValues(pick, random))
  }
}

function negated(text: string): string | undefined {
  const rules: readonly (readonly [RegExp, string])[] = [
    [/\bIs it safe\b/, 'Is it not safe'],
    [/\bwith alcohol\b/, 'without alcohol'],
    [/\bCan (\w+) cancel\b/, 'Can $1 not cancel'],
    [/\bdoes\b/, 'does not'],
    [/\binclude\b/, 'not include'],
    [/\bshould\b/, "shouldn't"],
    [/\bthat (\w+) sent\b/, 'that $1 never sent'],
    [/\bit was shipped\b/, 'it was not shipped'],
  ]
  for (const [pattern, replacement] of rules) {
    if (pattern.test(text)) return text.replace(pattern, replacement)
  }
  return undefined
}

function fill(wording: string, values: Values): string {
  return wording.replace(/\{(\w+)\}/g, (_, name: keyof Values) => values[name])
}

/** Files are often sorted by label; what is to be proved is about a mixed stream. Equal seeds give equal orders. */
export function shuffled<T>(items: readonly T[], seed = 1): readonly T[] {
  const random = seededRandom(seed)
  return items
    .map((item) => ({ item, at: random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item)
}

/** Numbers from 0 to 1, always the same ones for a seed. */
export function seededRandom(seed: number): () => number {
  let drawn = 0
  return () => {
    const digest = createHash('sha256').update(`${seed} ${drawn++}`).digest()
    return digest.readUInt32LE(0) / 2 ** 32
  }
}
