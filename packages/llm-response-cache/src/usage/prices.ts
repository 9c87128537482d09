import { InvalidOptionError } from '@evenkeel/core'
import type { Usage } from './tokens.js'

/** Price of a model's tokens, in any currency. */
export interface Price {
  readonly input: number
  readonly output: number
  /** Number of tokens that the prices are for. @default 1_000_000 */
  readonly unit?: number | undefined
}

/** Prices by model. A name that ends with `*` matches all models that begin with it; the longest match counts. */
export type Prices = Readonly<Record<string, Price>>

export function checkPrices(prices: Prices): Prices {
  for (const [model, { input, output, unit = 1_000_000 }] of Object.entries(prices)) {
    const numbers = [input, output, unit]
    if (!numbers.every((value) => Number.isFinite(value) && value >= 0) || unit === 0) {
      throw new InvalidOptionError(`prices.${model}`, 'input, output and unit as numbers', 'other')
    }
  }
  return prices
}

export function moneyOf(prices: Prices, model: string, usage: Usage): number {
  const price = prices[model] ?? byPrefix(prices, model)
  if (price === undefined) return 0
  const { input, output, unit = 1_000_000 } = price
  return (usage.input * input + usage.output * output) / unit
}

function byPrefix(prices: Prices, model: string): Price | undefined {
  const names = Object.keys(prices).filter(
    (name) => name.endsWith('*') && model.startsWith(name.slice(0, -1)),
  )
  const [longest] = names.sort((one, other) => other.length - one.length)
  return longest === undefined ? undefined : prices[longest]
}
