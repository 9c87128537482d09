import { InvalidArgumentError } from 'commander'

/** Returns a parser for a flag whose value is a whole number within bounds. */
export function wholeNumber(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < least || number > most)
      throw new InvalidArgumentError(`a number from ${least} to ${most}`)
    return number
  }
}

export const portNumber = wholeNumber(1, 65_535)
