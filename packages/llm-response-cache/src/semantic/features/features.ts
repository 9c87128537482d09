import { defaultLexicon, type Lexicon, numberWords, reversing, stemOf, unitOf } from './lexicon.js'

/**
 * What the guard compares of a text (a sheet). It contains parts of the text only as digests, so that the sheet can be
 * stored in places where the text must not be.
 */
export interface QuestionFeatures {
  /** Numbers with their units, dates and times; sorted. */
  readonly numbers: readonly string[]
  /** Acronyms, and words with a capital letter that do not begin a sentence; sorted. */
  readonly names: readonly string[]
  /** Words that change what the word beside them names (`vice`, `former`); sorted. */
  readonly qualifiers: readonly string[]
  /** Addresses, paths, versions, identifiers, quotations; sorted. */
  readonly literals: readonly string[]
  /** Code blocks and spans; sorted. */
  readonly code: readonly string[]
  /** Number of negations. */
  readonly negations: number
  /** Words that rule others out, by their group; see `WordLists`. */
  readonly exclusive: Readonly<Record<string, readonly string[]>>
  /** Stems of the words that are no stop words, in their order. */
  readonly words: readonly string[]
  /** Words that look reversed (`unsafe`), each with the word that it reverses (`safe`). */
  readonly reversed: readonly (readonly [string, string])[]
  /** Words that give others a role (`from`, `to`, `than`), each with the word that has the role. */
  readonly roles: readonly (readonly [string, string])[]
  readonly script: string
}

export type Digest = (text: string) => string

const span = /`([^`\n]+)`/g
const quoted =
  /"([^"\n]{1,200})"|“([^”\n]{1,200})”|«([^»\n]{1,200})»|„([^“”\n]{1,200})[“”]|(?<![\p{L}\p{N}])'([^'\n]{1,200})'(?![\p{L}\p{N}])/gu
/** Addresses, e-mail, paths, flags, snake_case, dotted.names, version and serial numbers, hashes. */
const literal = new RegExp(
  [
    String.raw`\b[a-z][a-z0-9+.-]{0,20}://[^\s<>"')]+`,
    String.raw`(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+`,
    String.raw`(?<![\w/])(?:~|\.{1,2})?/[\w.-]+(?:/[\w.-]+)*`,
    String.raw`\b[A-Za-z]:\\[^\s]+`,
    String.raw`(?<!\S)--?[A-Za-z][\w-]*(?:=\S+)?`,
    String.raw`\bv\d+(?:\.\d+)*\b`,
    String.raw`\b\d+(?:\.\d+){2,}\b`,
    String.raw`\b\w[A-Za-z0-9]*_\w+\b`,
    String.raw`\b[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*)+(?:\(\))?`,
    String.raw`\b\w+\(\)`,
    String.raw`\b(?=[A-Za-z-]{0,60}\d)(?=[\d-]{0,60}[A-Za-z])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)+\b`,
    String.raw`\b(?=[0-9]{0,64}[a-z])(?=[a-z]{0,64}[0-9])[0-9a-f]{7,64}\b`,
    String.raw`(?<!\w)[@#][A-Za-z]\w+`,
    String.raw`\b[A-Za-z]+(?:\+\+|#)(?!\w)`,
  ].join('|'),
  'gu',
)
const number =
  /(?<![\p{L}\p{N}_])([$€£¥₹]\s?)?([-−]?(?:\p{Nd}{1,3}(?:[,' \u00a0\u202f]\p{Nd}{3})+(?!\p{Nd})|\p{Nd}+)(?:[.,]\p{Nd}+)?(?:[eE][+-]?\p{Nd}+)?)((?::\p{Nd}{2}){1,2}|(?:[-/.]\p{Nd}{1,4}){1,2}(?!\p{Nd}))?(?:\s?(thousand|million|billion|trillion|mn|bn|k)(?!\p{L}))?(?:\s?(%|[$€£¥₹]|°[CF]?|km\/h|\p{L}+))?/gu
/** With dots, they would look like names of code. */
const abbreviations = /\b(?:[aApP]\.[mM]|[eE]\.[gG]|[iI]\.[eE]|[uU]\.[sSkK]|[eE]\.[uU])\.?(?!\w)/g
const word = /[\p{L}\p{M}\p{N}][\p{L}\p{M}\p{N}'’]*/gu
/** Extracts what the guard compares in a text, as digests. Linear in the text's length. */
export function questionFeaturesOf(
  text: string,
  digest: Digest,
  lexicon: Lexicon = defaultLexicon,
): QuestionFeatures {
  let rest = text.normalize('NFKC').replace(abbreviations, (all) => all.replaceAll('.', ''))
  const literals: string[] = []
  const code: string[] = []
  const numbers: string[] = []
  const take = (pattern: RegExp, found: (match: RegExpMatchArray) => string) => {
    rest = rest.replace(pattern, (...match) => {
      const groups = match as unknown as RegExpMatchArray
      return found(groups)
    })
  }
  rest = withoutFences(rest, (body) => code.push(body.replace(/\s+/g, ' ').trim()))
  take(span, ([, body = '']) => {
    code.push(body.trim())
    return ' '
  })
  // The words of a quotation stay in the text too, since another person may write them without quotation marks.
  take(quoted, ([all, ...bodies]) => {
    const body = bodies.find((part) => typeof part === 'string') ?? ''
    literals.push(body.trim().toLowerCase())
    return String(all)
  })
  take(literal, ([all]) => {
    literals.push(String(all).toLowerCase())
    return ' '
  })
  take(number, ([, currency, digits = '', tail = '', scale, unit]) => {
    const known = unit === undefined ? undefined : unitOf.get(unit.toLowerCase())
    const money = currency === undefined ? undefined : unitOf.get(currency.trim())
    numbers.push(`${numberText(digits, scale)}${tail}${money ?? known ?? ''}`)
    // A word after the number that is no unit stays in the text.
    return known === undefined && unit !== undefined ? ` ${unit}` : ' '
  })
  return {
    ...readWords(rest, digest, numbers, lexicon),
    code: digested(code, digest),
    literals: digested(literals, digest),
  }
}

/**
 * Removes the code blocks between triple backticks; the last closing ones may be missing. The rest of a block's first
 * line names its language, unless the block ends on that line.
 */
function withoutFences(text: string, onCode: (body: string) => void): string {
  const fence = '```'
  let rest = ''
  let at = 0
  let lineEnd = -1
  for (let open = text.indexOf(fence); open >= 0; open = text.indexOf(fence, at)) {
    const after = open + fence.length
    if (lineEnd < after) lineEnd = text.indexOf('\n', after)
    if (lineEnd < 0) lineEnd = text.length
    const close = text.indexOf(fence, after)
    const end = close < 0 ? text.length : close
    const isOnOneLine = end <= lineEnd
    onCode(text.slice(isOnOneLine ? after : lineEnd, end))
    rest += text.slice(at, open) + (isOnOneLine ? ' ' : '\n')
    at = Math.min(end + fence.length, text.length)
  }
  return rest + text.slice(at)
}

/** Whether a sentence or a line ends at the text's end; spaces, quotation marks and a parenthesis may follow it. */
function endsSentence(text: string): boolean {
  let end = text.length
  while (end > 0 && `"'“(`.includes(text.charAt(end - 1))) end--
  const before = text.slice(0, end)
  const last = before.trimEnd()
  return before.indexOf('\n', last.length) >= 0 || '.!?:;•-'.includes(last.at(-1) ?? ' ')
}

function readWords(
  rest: string,
  digest: Digest,
  numbers: string[],
  lexicon: Lexicon,
): Omit<QuestionFeatures, 'code' | 'literals'> {
  const { articles, directional, groupsOf, negations, qualifiers, stopWords } = lexicon
  const names = new Set<string>()
  const qualified = new Set<string>()
  const words: string[] = []
  const reversed: [string, string][] = []
  const exclusive: Record<string, string[]> = {}
  // In a text without lower case, capital letters mark no names.
  const isShouted = !/\p{Ll}/u.test(rest)
  let negated = 0
  const roles: [string, string][] = []
  let role: string | undefined
  for (const { text, startsSentence } of wordsOf(rest)) {
    const lower = text.toLowerCase().replaceAll('’', "'")
    const stem = stemOf(lower)
    const value = numberWords.get(lower)
    // `one` is more often a pronoun than a number.
    if (value !== undefined && lower !== 'one') numbers.push(String(value))
    if (negations.has(lower.replaceAll("'", ''))) {
      negated++
      continue
    }
    role = directional.get(lower) ?? (stopWords.has(lower) && !articles.has(lower) ? undefined : role)
    for (const group of groupsOf.get(stem) ?? []) note(exclusive, digest(`group ${group}`), digest(stem))
    const isAcronym = !isShouted && /^\p{Lu}{2,}\p{N}*$/u.test(text)
    if (stopWords.has(lower) && !isAcronym) continue
    if (qualifiers.has(lower)) qualified.add(digest(stem))
    if (isAcronym || /\p{Ll}\p{Lu}/u.test(text) || (!isShouted && !startsSentence && /^\p{Lu}/u.test(text)))
      names.add(digest(stem))
    words.push(digest(stem))
    if (role !== undefined) roles.push([digest(role), digest(stem)])
    role = undefined
    const turned = lower.replace(reversing, '')
    if (turned !== lower) reversed.push([digest(stem), digest(stemOf(turned))])
  }
  return {
    numbers: digested(numbers, digest),
    names: [...names].sort(),
    qualifiers: [...qualified].sort(),
    negations: negated,
    exclusive,
    words,
    reversed,
    roles,
    script: scriptOf(rest),
  }
}

/** Keeps the items of each list distinct and sorted. */
function note(lists: Record<string, string[]>, name: string, item: string): void {
  lists[name] = [...new Set([...(lists[name] ?? []), item])].sort()
}

interface Word {
  readonly text: string
  readonly startsSentence: boolean
}

function* wordsOf(text: string): Iterable<Word> {
  // The runtime's dictionary splits scripts that have no spaces between words.
  if (/[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}\p{sc=Khmer}\p{sc=Lao}\p{sc=Myanmar}]/u.test(text)) {
    for (const { segment, isWordLike } of new Intl.Segmenter(undefined, { granularity: 'word' }).segment(
      text,
    )) {
      if (isWordLike) yield { text: segment, startsSentence: true }
    }
    return
  }
  for (const match of text.matchAll(word)) {
    const before = text.slice(Math.max(0, match.index - 8), match.index)
    const startsSentence = match.index === 0 || before.trim() === '' || endsSentence(before)
    yield { text: match[0], startsSentence }
  }
}

const scripts = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Arabic',
  'Hebrew',
  'Devanagari',
  'Han',
  'Hiragana',
  'Katakana',
  'Hangul',
  'Thai',
]
const matchers = scripts.map((script) => new RegExp(`\\p{sc=${script}}`, 'gu'))

/** The script of most letters. Japanese counts as one script, whatever its mixture. */
function scriptOf(text: string): string {
  const counts = matchers.map((matcher) => text.match(matcher)?.length ?? 0)
  const at = (name: string) => counts[scripts.indexOf(name)] ?? 0
  if (at('Hiragana') + at('Katakana') > 0 && at('Hiragana') + at('Katakana') + at('Han') > at('Latin'))
    return 'Japanese'
  const most = Math.max(...counts)
  return most === 0 ? 'none' : (scripts[counts.indexOf(most)] ?? 'none')
}

const scales = new Map([
  ['k', 1e3],
  ['thousand', 1e3],
  ['mn', 1e6],
  ['million', 1e6],
  ['bn', 1e9],
  ['billion', 1e9],
  ['trillion', 1e12],
])

/** One text for one value: 1,000 and 1000, 1.50 and 1.5, １２ and 12. */
function numberText(digits: string, scale: string | undefined): string {
  const plain = digits.replaceAll('−', '-').replace(/[' \u00a0\u202f]/g, '')
  const grouped = /^-?\d{1,3}(?:,\d{3})+(?:\.\d+)?$/.test(plain)
  const value = Number(grouped ? plain.replaceAll(',', '') : plain.replace(',', '.'))
  // Digits of other scripts, and texts that are no numbers after all, stay as they are.
  return Number.isFinite(value) ? String(value * (scales.get(scale ?? '') ?? 1)) : plain
}

function digested(texts: readonly string[], digest: Digest): readonly string[] {
  return texts.map(digest).sort()
}
