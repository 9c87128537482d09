/** One fact in the documents. */
export interface Fact {
  readonly product: string
  readonly topic: keyof typeof topics
  readonly value: string
  /** The passage of the documents that states the fact. */
  readonly passage: string
}

/** How people ask about each topic. All wordings of one topic have the same answer. */
const topics = {
  price: [
    'How much does the {p} plan cost per month?',
    'What does the {p} plan cost per month?',
    'Please tell me how much the {p} plan would cost me per month',
    'I would like to know how much the {p} plan costs per month',
  ],
  seats: [
    'How many seats are included in the {p} plan?',
    'How many seats does the {p} plan include?',
    'Please tell me how many seats the {p} plan has included',
    'In the {p} plan, how many seats are included for us?',
  ],
  storage: [
    'How much storage does the {p} plan offer?',
    'How much storage is offered with the {p} plan?',
    'Can you tell me how much storage the {p} plan would offer?',
    'I want to know the storage that the {p} plan can offer',
  ],
  support: [
    'Which hours is support available on the {p} plan?',
    'On the {p} plan, which hours is support available?',
    'Please tell me the hours in which support is available on the {p} plan',
    'I need to know which hours support is available for the {p} plan',
  ],
  export: [
    'Can I export my data from the {p} plan?',
    'Is it possible to export my data from the {p} plan?',
    'I want to export data from the {p} plan, can I?',
    'Please tell me if I can export my data from the {p} plan',
  ],
  import: [
    'Can I import my data into the {p} plan?',
    'Is it possible to import my data into the {p} plan?',
    'I want to import data into the {p} plan, can I?',
    'Please tell me if I can import my data into the {p} plan',
  ],
} as const

const products = ['Harbour', 'Lagoon', 'Fjord', 'Delta', 'Reef', 'Atoll', 'Strait', 'Channel']

/** What the documents say about each product and topic. */
export const facts: readonly Fact[] = products.flatMap((product, at) => {
  const values: Record<keyof typeof topics, [string, string]> = {
    price: [`${9 + at * 10} euros`, `The ${product} plan costs ${9 + at * 10} euros per month.`],
    seats: [`${2 + at * 3} seats`, `With the ${product} plan ${2 + at * 3} seats are included.`],
    storage: [`${50 * (at + 1)} GB`, `The ${product} plan offers ${50 * (at + 1)} GB of storage.`],
    support: [
      `${6 + at}:00 to ${16 + at}:00`,
      `Support is available on the ${product} plan in the hours from ${6 + at}:00 to ${16 + at}:00.`,
    ],
    export: [
      at % 2 === 0 ? 'as CSV' : 'as JSON',
      `Data of the ${product} plan can be exported ${at % 2 === 0 ? 'as CSV' : 'as JSON'}.`,
    ],
    import: [
      at % 2 === 0 ? 'from JSON' : 'from CSV',
      `Data can be imported into the ${product} plan ${at % 2 === 0 ? 'from JSON' : 'from CSV'}.`,
    ],
  }
  return Object.entries(values).map(([topic, [value, passage]]) => ({
    product,
    topic: topic as keyof typeof topics,
    value,
    passage,
  }))
})

/** A question about a fact, in one of its wordings. */
export function wordingOf({ product, topic }: Fact, wording: number): string {
  const wordings = topics[topic]
  return (wordings[wording % wordings.length] ?? wordings[0]).replace('{p}', product)
}
