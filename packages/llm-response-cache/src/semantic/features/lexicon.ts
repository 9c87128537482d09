import { defaultWordLists, type WordLists } from './word-lists.js'

/** Word lists, ready to be looked up. */
export interface Lexicon {
  readonly stopWords: ReadonlySet<string>
  readonly negations: ReadonlySet<string>
  readonly qualifiers: ReadonlySet<string>
  readonly articles: ReadonlySet<string>
  /** The groups of opposites that a word belongs to, by its stem. */
  readonly groupsOf: ReadonlyMap<string, readonly number[]>
  /** Words that give the word after them a role, each with the first word of its group. */
  readonly directional: ReadonlyMap<string, string>
}

export function lexiconOf(lists: WordLists): Lexicon {
  const groupsOf = new Map<string, number[]>()
  for (const [index, words] of lists.opposites.entries()) {
    for (const stem of words.map(stemOf)) groupsOf.set(stem, [...(groupsOf.get(stem) ?? []), index])
  }
  return {
    stopWords: new Set(lists.stopWords),
    negations: new Set(lists.negations),
    qualifiers: new Set(lists.qualifiers),
    articles: new Set(lists.articles),
    groupsOf,
    directional: new Map(
      lists.roles.flatMap((words) => words.map((word): [string, string] => [word, words[0] ?? word])),
    ),
  }
}

/** A light stem: it makes `disable`, `disabled` and `disabling` equal, but hardly ever joins different words. */
export function stemOf(word: string): string {
  if (word.length <= 3) return word
  const cut = word
    .replace(/(?<=[a-z]{2})'s$/, '')
    .replace(/(?<=[a-z]{2}[^aeious])ies$/, 'y')
    .replace(/(?<=[a-z]{2}(?:s|x|z|ch|sh))es$/, '')
    .replace(/(?<=[a-z]{2}[^s'u])s$/, '')
    .replace(/(?<=[a-z]{3})ing$/, '')
    .replace(/(?<=[a-z]{3})ed$/, '')
  // `stopped` and `running` double their last letter.
  const single = cut.length < word.length ? cut.replace(/([bdgmnprt])\1$/, '$1') : cut
  return single.length > 3 ? single.replace(/e$/, '') : single
}

/** Prefixes that turn a word into its opposite. */
export const reversing = /^(?:un|non-?|dis|de|in|im|il|ir|mis|anti-?)(?=\p{L}{3})/u

export const numberWords = new Map<string, number>(
  [
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty'.split(
      ' ',
    ),
  ].flatMap((words) => words.map((word, value): [string, number] => [word, value])),
)
for (const [word, value] of Object.entries({
  thirty: 30,
  forty: 40,
  fifty: 50,
  sixty: 60,
  seventy: 70,
  eighty: 80,
  ninety: 90,
  hundred: 100,
  thousand: 1_000,
  million: 1e6,
  billion: 1e9,
  half: 0.5,
  quarter: 0.25,
  dozen: 12,
  twice: 2,
  once: 1,
})) {
  numberWords.set(word, value)
}

/** Each line has the names of one unit. Words that are no units are left out, so that `5 apples` is a plain 5. */
const unitNames = `
mm millimeter millimetre
cm centimeter centimetre
m meter metre
km kilometer kilometre
in inch inches
ft foot feet
yd yard
mi mile
mg milligram
g gram gramme
kg kilo kilogram
t ton tonne
oz ounce
lb lbs pound
ml milliliter millilitre
l liter litre
gal gallon
cup cups
tbsp tablespoon
tsp teaspoon
ms millisecond
s sec second
min minute
h hr hour
d day
wk week
mo month
y yr year
b byte
kb kilobyte
mb megabyte
gb gigabyte
tb terabyte
kib kibibyte
mib mebibyte
gib gibibyte
bit bits
hz hertz
khz kilohertz
mhz megahertz
ghz gigahertz
w watt
kw kilowatt
kwh
v volt
a amp ampere
mah
j joule
kj kilojoule
cal calorie
kcal kilocalorie
pa pascal
bar bars
psi
mph
kmh km/h kph
deg degree degrees
c celsius °c
f fahrenheit °f
k kelvin
usd $ dollar
eur € euro
gbp £ sterling quid
jpy ¥ yen
inr ₹ rupee
chf franc
cny yuan
percent % pct
px pixel
em rem
pt point
am
pm
`
export const unitOf: ReadonlyMap<string, string> = new Map(
  unitNames
    .trim()
    .split('\n')
    .flatMap((line) => {
      const names = line.split(' ')
      const unit = names[0] ?? ''
      return names.flatMap((name): [string, string][] => [
        [name, unit],
        [`${name}s`, unit],
      ])
    }),
)

export const defaultLexicon: Lexicon = lexiconOf(defaultWordLists)
