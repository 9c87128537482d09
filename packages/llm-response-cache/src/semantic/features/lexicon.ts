/** Words that carry no subject of their own, in the languages that the guard knows best. */
export const stopWords = new Set(
  `a about after all also am an and any are as at be because been before being but by can could did do does doing
  for from get give got had has have having he her here him his how i if in into is it its just know let like me
  my need of on one or our out over please should show so some such tell than thank thanks that the their them
  then there these they this those through to too up us use using want was way we were what when where which
  while who whom whose why will with would you your possible still wonder maybe perhaps actually really
  der die das ein eine einen einem einer und oder ist sind wie was wer wo wann warum ich du er sie es wir ihr mein
  dein den dem des im in auf an zu zur zum von vom mit für bei aus kann können bitte
  le la les un une des et ou est sont comment que qui où quand pourquoi je tu il elle nous vous mon ton de du au aux
  dans sur pour par avec puis-je s'il plaît
  el los las una unos unas y o es son cómo como qué quién dónde cuándo por yo tú él ella nosotros mi tu de del al
  en con para puedo favor`
    .split(/\s+/)
    .filter((word) => word !== ''),
)

export const negations = new Set(
  `not no never none nobody nothing nowhere neither nor without cannot except excluding unless lacks lacking
  isnt arent wasnt werent dont doesnt didnt wont wouldnt cant couldnt shouldnt mustnt hasnt havent hadnt neednt
  nicht kein keine keinen keinem keiner keines nie niemals nichts niemand ohne außer
  pas jamais rien aucun aucune sans sauf
  nunca jamás nada nadie ningún ninguna ninguno sin excepto
  não nem sem nenhum nenhuma exceto non mai senza niente nessuno
  не нет никогда без нельзя`
    .split(/\s+/)
    .filter((word) => word !== ''),
)

/**
 * Words of which one rules the others out: where both texts speak of a group, they must say the same of it.
 * A word may be in several groups.
 */
const groups = `
enable disable activate deactivate
on off
buy sell purchase
increase decrease raise lower reduce
before after
minimum maximum min max
minimize maximize
add remove delete insert
create destroy delete drop
start stop begin end
open close
import export
upload download
encode decode
encrypt decrypt
compress decompress
serialize deserialize
push pull
up down
left right
first last second third
next previous
lock unlock
allow deny forbid block permit
accept reject decline
income expense
credit debit
lend borrow
send receive
input output
more less fewer
most least fewest
higher lower
highest lowest
best worst
better worse
larger smaller bigger
largest smallest biggest
longer shorter
longest shortest
faster slower
fastest slowest
cheapest expensive
male female
men women
man woman
boy girl
he she
his her
parent child
mother father
son daughter
brother sister
husband wife
uncle aunt
king queen
pros cons
advantage disadvantage benefit drawback
true false
always sometimes never
all some none
north south east west
northern southern eastern western
hot cold warm
hottest coldest warmest
summer winter spring autumn fall
inner outer
internal external
synchronous asynchronous sync async
ascending descending asc desc
public private
read write
login logout
deposit withdraw
gain lose
win lose
hire fire
arrive depart
arrival departure
legal illegal
safe dangerous unsafe
single married
old young new
oldest youngest newest latest
cheap expensive
long short
fast slow
big small
early late
earliest latest
positive negative
pass fail
agree disagree
love hate
breakfast lunch dinner
morning afternoon evening night
today tomorrow yesterday
weekly daily monthly yearly hourly annually annual
day week month year hour minute
ancient modern
rural urban
import export
supply demand
cause effect
symptom cure treatment
install uninstall
mount unmount
subscribe unsubscribe
follow unfollow
above below
under over
under above
over below
inside outside
front back
top bottom
horizontal vertical
row column
client server
frontend backend
request response
singular plural
lossy lossless
static dynamic
mutable immutable
local remote global
primary secondary
odd even
sunrise sunset
birth death
born died die
who when where why how
january february march april may june july august september october november december
monday tuesday wednesday thursday friday saturday sunday
english german french spanish italian portuguese dutch russian chinese japanese korean arabic hindi turkish polish
python javascript typescript java kotlin swift ruby rust go golang php perl scala haskell c cpp csharp sql bash
mysql postgres postgresql sqlite mongodb redis oracle
windows linux macos mac android ios ubuntu debian
red green blue yellow orange purple black white brown pink
`

/** The groups that a word belongs to, by its stem. */
export const groupsOf: ReadonlyMap<string, readonly number[]> = readGroups()

function readGroups(): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const [index, line] of groups.trim().split('\n').entries()) {
    for (const word of line.split(' ')) {
      const stem = stemOf(word)
      found.set(stem, [...(found.get(stem) ?? []), index])
    }
  }
  return found
}

/** A light stem: enough that `disable`, `disabled` and `disabling` are one word, too little to join two. */
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

/** Words that give the one after them a role, under the first of those that give the same. */
export const directional: ReadonlyMap<string, string> = new Map(
  `to into onto nach zu zum zur vers à hacia
  from aus von vom depuis desde
  than als
  over
  versus vs against
  by
  for für pour para
  before vor avant
  after
  between
  with mit avec con`
    .split('\n')
    .flatMap((line) => {
      const words = line.trim().split(' ')
      return words.map((word): [string, string] => [word, words[0] ?? word])
    }),
)

/** Words that make another thing of what they stand beside: a vice president is no president. */
export const qualifiers = new Set(
  'vice former ex deputy acting interim pro mini lite ultra premium beta alpha maiden fake artificial virtual'.split(
    ' ',
  ),
)

/** Words that may stand between such a word and the one that it gives a role. */
export const articles = new Set(
  'a an the my your our their this that der die das den dem le la les un une el los las'.split(' '),
)

export const numberWords = new Map<string, number>(
  [
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty'.split(
      ' ',
    ),
  ].flatMap((words) => words.map((word, value): [string, number] => [word, value])),
)
for (const [word, value] of Object.entries({
  ...{ thirty: 30, forty: 40, fifty: 50, sixty: 60, seventy: 70, eighty: 80, ninety: 90, hundred: 100 },
  ...{ thousand: 1_000, million: 1e6, billion: 1e9, half: 0.5, quarter: 0.25, dozen: 12, twice: 2, once: 1 },
})) {
  numberWords.set(word, value)
}

/** Names of one unit, under the first of them. Words that are no units stay out, so that `5 apples` is a plain 5. */
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
