import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareQuestionFeatures } from '../../src/semantic/features/compare.js'
import { questionFeaturesOf } from '../../src/semantic/features/features.js'
import { labelledSet } from './labelled-set.js'

const plain = (text: string) => text
const objection = (one: string, other: string) => {
  const sheets = [questionFeaturesOf(one, plain), questionFeaturesOf(other, plain)] as const
  const found = compareQuestionFeatures(...sheets, { minOverlap: 0.3 }).objection
  expect(compareQuestionFeatures(sheets[1], sheets[0], { minOverlap: 0.3 }).objection).toBe(found)
  return found
}

describe('the guard refuses', () => {
  it.each([
    ['numbers', 'Refund order 4711', 'Refund order 4712'],
    ['numbers', 'a loan of $1,000', 'a loan of $10,000'],
    ['numbers', 'Is 5 km far?', 'Is 5 miles far?'],
    ['numbers', 'Meet at 5 p.m.', 'Meet at 5 a.m.'],
    ['numbers', 'What happened on 2024-05-01?', 'What happened on 2024-05-02?'],
    ['numbers', 'a table with three rows', 'a table with four rows'],
    ['numbers', 'Is -5 positive?', 'Is 5 positive?'],
    ['numbers', 'a raise of 5%', 'a raise of 5'],
    ['names', 'the best hotels near Lake Garda for a family', 'the best hotels near Lake Como for a family'],
    ['names', 'news about the US economy', 'news about the EU economy'],
    ['literals', 'What does /etc/passwd hold?', 'What does /etc/shadow hold?'],
    ['literals', 'Explain parse_date in the module', 'Explain parse_time in the module'],
    ['literals', 'open https://a.example/x', 'open https://a.example/y'],
    ['literals', 'mail bob@a.example', 'mail eve@a.example'],
    ['literals', 'is gpt-4o faster', 'is gpt-4 faster'],
    ['literals', 'translate "good morning"', 'translate "good evening"'],
    ['code', 'What does `a && b` do?', 'What does `a || b` do?'],
    ['code', 'fix\n```js\nlet x = 1\n```', 'fix\n```js\nlet x = 2\n```'],
    ['code', 'What does ```rm a``` do?', 'What does ```rm b``` do?'],
    ['code', 'What is this: ```rm a', 'What is this: ```rm b'],
    ['negation', 'Is aspirin safe in pregnancy?', 'Is aspirin not safe in pregnancy?'],
    ['negation', 'recipes with nuts', 'recipes without nuts'],
    ['negation', 'Why does it work?', "Why doesn't it work?"],
    ['negation', 'Ist das erlaubt?', 'Ist das nicht erlaubt?'],
    ['opposites', 'How do I enable 2FA?', 'How do I disable 2FA?'],
    ['opposites', 'turning on the wifi', 'turning off the wifi'],
    ['opposites', 'when was it built', 'where was it built'],
    ['opposites', 'Is this mushroom edible and safe to eat', 'Is this mushroom edible and unsafe to eat'],
    ['opposites', 'print it in French please', 'print it in German please'],
    ['order', 'convert usd to eur', 'convert eur to usd'],
    ['order', 'flights from oslo to rome', 'flights from rome to oslo'],
    ['order', 'dog bites man', 'man bites dog'],
    ['order', 'Did young Alice beat young Bob?', 'Did young Bob beat young Alice?'],
    ['order', 'email from John about the merger', 'email to John about the merger'],
    ['qualifiers', 'Who was president in 1990?', 'Who was vice president in 1990?'],
    ['opposites', 'best phone under $500', 'best phone over $500'],
    ['names', 'rename getUserName in the module', 'rename getUserMail in the module'],
    ['opposites', 'list employees hired before 2020', 'list employees hired after 2020'],
    ['numbers', 'what is 15% of 80', 'what is 80% of 15'],
    ['substitution', 'can dogs eat grapes', 'can cats eat grapes'],
    ['substitution', 'what is the capital of peru', 'what is the capital of chile'],
    ['script', 'привет', 'privet'],
    ['overlap', 'how to bake bread quickly at home', 'which trains leave for the northern coast tonight'],
  ])('%s: %s / %s', (reason, one, other) => {
    const found = objection(one, other)
    // Some are refused for an earlier reason too; what counts is that each is refused.
    expect(found).toBeDefined()
    if (!['names', 'script', 'overlap', 'opposites'].includes(reason)) expect(found).toBe(reason)
  })
})

describe('the guard refuses questions that were collected to defeat it:', () => {
  it.each([
    ['Is ibuprofen safe for a 5-year-old child?', 'Is ibuprofen safe for a 5-month-old child?'],
    [
      'Translate this into French: good morning my friend',
      'Translate this into French: good evening my friend',
    ],
    [
      'Who was the president of the United States in 1990?',
      'Who was the vice president of the United States in 1990?',
    ],
    ['How do I undo the last commit in git?', 'How do I redo the last commit in git?'],
    ['What is the boiling point of water in Celsius?', 'What is the boiling point of water in Fahrenheit?'],
    ['list employees hired before 2020', 'list employees hired after 2020'],
    ['show all orders above 100 dollars', 'show all orders below 100 dollars'],
    [
      'Write a function that returns the first element of a list',
      'Write a function that returns the last element of a list',
    ],
    ['Can dogs eat grapes?', 'Can cats eat grapes?'],
    ['My dog ate chocolate', 'My dog did not eat chocolate'],
    ['How tall is Mount Everest in meters', 'How tall is Mount Everest in feet'],
    ['What is 15% of 80', 'What is 80% of 15'],
    ['difference between TCP and UDP', 'difference between TCP and HTTP'],
    ['is it legal to record a call in California', 'is it illegal to record a call in California'],
    ['transfer 100 euros from savings to checking', 'transfer 100 euros from checking to savings'],
    ['does Alice report to Bob', 'does Bob report to Alice'],
    ['what causes high blood pressure', 'what causes low blood pressure'],
    ['How do I become a US citizen?', 'How do I renounce US citizenship?'],
    ['SELECT * FROM users WHERE id = 1', 'DELETE FROM users WHERE id = 1'],
    ['best phone under $500', 'best phone over $500'],
    ['capital of North Korea', 'capital of South Korea'],
    ['Ist die Praxis am Montag offen?', 'Ist die Praxis am Dienstag offen?'],
    ['¿Cuánto cuesta el plan anual?', '¿Cuánto cuesta el plan mensual?'],
    ['日本の首都はどこですか', '中国の首都はどこですか'],
    ['How do I turn my camera on', 'How do I turn my camera off'],
    ['when is the deadline for registration', 'when is the deadline for cancellation'],
    ['How many calories in an apple', 'How many calories in an orange'],
    ['explain recursion to a beginner', 'explain recursion to an expert'],
    ['should I invest in stocks now', 'should I sell my stocks now'],
    ['Plan a trip for two people', 'Plan a trip for three people'],
    ['what are symptoms of flu', 'what are symptoms of covid'],
    ['email from John about the merger', 'email to John about the merger'],
  ])('%s / %s', (one, other) => {
    expect(objection(one, other)).toBeDefined()
  })
})

describe('the guard lets pass', () => {
  it.each([
    ['How do I reset my password?', 'how can i reset my password'],
    ['HOW DO I RESET MY PASSWORD', 'how do I reset my password?'],
    ['How To Reset My Password', 'how to reset my password'],
    ['a loan of $1,000', 'a loan of 1000 dollars'],
    ['a loan of 1.5 million euros', 'a loan of €1,500,000'],
    ['turn on 2 lamps', 'turn on two lamps'],
    ['Is ５ km far?', 'Is 5 kilometers far?'],
    ['Paris weather tomorrow', 'what will the weather be in Paris tomorrow?'],
    ['flights from Oslo to Rome', 'flights to Rome from Oslo'],
    ['Why is the sky blue', 'Please tell me why the sky is blue!'],
    ['meet at 5 p.m.', 'meet at 5pm'],
    ['Is Node.js single threaded?', 'is node.js single-threaded'],
    ['Does the iPhone 15 have USB-C?', 'does the iphone 15 have usb-c'],
    ['I forgot my password, how do I reset it?', 'How can I reset my password?'],
    ["Don't show ads", 'Do not show ads'],
    ['wie ist das Wetter in Berlin', 'Wie ist das Wetter in Berlin?'],
    ['東京の天気は？', '東京の天気は'],
  ])('%s / %s', (one, other) => {
    expect(objection(one, other)).toBeUndefined()
  })
})

describe('the guard', () => {
  it('lets no number, name, negation, unit, code or changed order of the labelled set pass', () => {
    const pairs = labelledSet(4_000, 99)
    const kinds = ['number', 'name', 'negation', 'unit', 'code', 'order']
    const hard = pairs.filter(({ kind }) => kinds.includes(kind))
    expect(hard.length).toBeGreaterThan(500)
    expect(hard.filter(({ a, b }) => objection(a, b) === undefined)).toEqual([])
  })

  it('has no objection to three words that are the same backwards', () => {
    expect(objection('tea without tea', 'tea without tea')).toBeUndefined()
    expect(objection('tomato sauce tomato', 'tomato sauce tomato')).toBeUndefined()
  })

  it('has no objection to a text and itself, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        expect(objection(text, text)).toBeUndefined()
      }),
    )
  })

  it('takes nothing of the text along but digests', () => {
    const text = 'Alice pays 4711 dollars for `rm -rf` via https://a.example not Bob'
    const sheet = JSON.stringify(questionFeaturesOf(text, (part) => `#${part.length}`))
    for (const word of ['Alice', 'alice', '4711', 'rm', 'example', 'Bob', 'bob', 'pay'])
      expect(sheet).not.toContain(word)
  })

  it.each(['a', 'a ', '1', '1,', '"', '`', '/a', 'a.', 'a-', 'a-1', '--a ', "'a", 'A', 'a@', '你好'])(
    'is linear: a long text of %s takes no long time',
    (piece) => {
      // Words of a script without spaces are cut by the runtime, at about a microsecond a character.
      const length = piece === '你好' ? 8_000 : 50_000
      const text = piece.repeat(Math.ceil(length / piece.length))
      const began = process.cpuUsage()
      questionFeaturesOf(text, plain)
      // CPU time: other processes have no part in it.
      const { user, system } = process.cpuUsage(began)
      expect((user + system) / 1_000).toBeLessThan(1_500)
    },
  )
})
