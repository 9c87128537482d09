import { InvalidArgumentError } from 'commander'

/** Reads a flag's whole number within bounds. */
export function wholeNumber(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < least || number > most)
      throw new InvalidArgumentError(`a number from ${least} to ${most}`)
    return number
  }
}

export const portNumber = wholeNumber(1, 65_535)
