/** The words by which the guard tells questions apart. Lower case; an application may replace any list. */
export interface WordLists {
  /** Words without a subject of their own. */
  readonly stopWords: readonly string[]
  /** Words that turn a statement into its opposite; without apostrophes. */
  readonly negations: readonly string[]
  /** Groups of words that rule each other out: if both texts have words of a group, these must be the same. */
  readonly opposites: readonly (readonly string[])[]
  /** Words that change what the word beside them names: a vice president is no president. */
  readonly qualifiers: readonly string[]
  /** Words that give the word after them a role, in groups of the same role. */
  readonly roles: readonly (readonly string[])[]
  /** Words that may be between a word of `roles` and the word that gets the role. */
  readonly articles: readonly string[]
}

const stopWords = `a about after all also am an and any are as at be because been before being but by can could did do does doing
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

const negations = `not no never none nobody nothing nowhere neither nor without cannot except excluding unless lacks lacking
  isnt arent wasnt werent dont doesnt didnt wont wouldnt cant couldnt shouldnt mustnt hasnt havent hadnt neednt
  nicht kein keine keinen keinem keiner keines nie niemals nichts niemand ohne außer
  pas jamais rien aucun aucune sans sauf
  nunca jamás nada nadie ningún ninguna ninguno sin excepto
  não nem sem nenhum nenhuma exceto non mai senza niente nessuno
  не нет никогда без нельзя`

const opposites = `
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

const roles = `to into onto nach zu zum zur vers à hacia
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

/** The guard's default word lists, mostly English. */
export const defaultWordLists: WordLists = {
  stopWords: wordsIn(stopWords),
  negations: wordsIn(negations),
  opposites: linesIn(opposites),
  qualifiers: wordsIn(
    'vice former ex deputy acting interim pro mini lite ultra premium beta alpha maiden fake artificial virtual',
  ),
  roles: linesIn(roles),
  articles: wordsIn('a an the my your our their this that der die das den dem le la les un une el los las'),
}

function wordsIn(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== '')
}

function linesIn(text: string): readonly (readonly string[])[] {
  return text.trim().split('\n').map(wordsIn)
}
