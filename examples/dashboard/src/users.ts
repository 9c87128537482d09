import type { Gateway } from '@evenkeel/example-gateway/server'

/** Requests that a decoder serves at once. */
export const slotsOfDecoder = 8

export interface User {
  readonly name: string
  readonly apiKey: string
  /** The limiter's key for the user: a digest of the API key. */
  readonly key: string
  /** Requests a second. */
  readonly rate: number
  /** Whether the user's requests are turns of a conversation that the gateway stores. */
  readonly talks: boolean
}

const people = [
  { name: 'ada', rate: 1.2, talks: false },
  { name: 'ben', rate: 1.2, talks: false },
  { name: 'chloe', rate: 1.2, talks: false },
  { name: 'dev', rate: 1.2, talks: false },
  { name: 'emil', rate: 0.5, talks: true },
  { name: 'fatima', rate: 0.5, talks: true },
  // More than the limit of two a second grants.
  { name: 'greedy', rate: 6, talks: false },
] as const

export function usersOf(gateway: Gateway): readonly User[] {
  return people.map((person) => {
    const apiKey = `dashboard-${person.name}`
    return { ...person, apiKey, key: gateway.callerOf(`Bearer ${apiKey}`).key }
  })
}
