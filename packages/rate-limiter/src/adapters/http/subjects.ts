import { createHash } from 'node:crypto'
import { InvalidOptionError } from '@evenkeel/core'
import { wholeNumber } from '@evenkeel/core/kit'
import ipaddr from 'ipaddr.js'

/** What a key function sees of a request, whatever the framework. */
export interface RequestView {
  /** The first value of a header; names in lower case. */
  header(name: string): string | undefined
  /** Of the peer that connected, as the framework knows it. */
  readonly address: string | undefined
}

export type SubjectOf = (request: RequestView) => string | undefined

/** As {@link SubjectOf}, with the framework's request. */
export type SubjectFunction<Request> = (
  view: RequestView,
  request: Request,
) => string | undefined | Promise<string | undefined>

export interface ByIpOptions {
  /**
   * Proxies of yours before the service, each of which appends to `X-Forwarded-For`: the client is that many
   * from the right. What is further left was written by the client. 0 takes the peer's own address.
   * @default 0
   */
  readonly trustedProxies?: number | undefined
  /** Bits of an IPv6 address that name a client: who has one address has a whole network. @default 64 */
  readonly ipv6Prefix?: number | undefined
}

/** Limits by network address. IPv4 in IPv6 counts as IPv4. */
export function byIp({ trustedProxies = 0, ipv6Prefix = 64 }: ByIpOptions = {}): SubjectOf {
  wholeNumber('trustedProxies', trustedProxies, 0, 100)
  wholeNumber('ipv6Prefix', ipv6Prefix, 1, 128)
  return (request) => {
    const hops = (request.header('x-forwarded-for') ?? '').split(',').map((hop) => hop.trim())
    const address = trustedProxies === 0 ? request.address : hops.at(-trustedProxies)
    return address === undefined ? undefined : network(address, ipv6Prefix)
  }
}

/** Limits by API key: `Authorization: Bearer …` or another header. Only a digest of the key goes anywhere. */
export function byApiKey({ header = 'authorization' }: { readonly header?: string } = {}): SubjectOf {
  if (typeof header !== 'string' || header === '')
    throw new InvalidOptionError('header', 'the name of a header', header)
  const name = header.toLowerCase()
  return (request) => {
    const key = request.header(name)?.replace(/^Bearer\s+/i, '')
    return key ? `key:${createHash('sha256').update(key).digest('base64url').slice(0, 22)}` : undefined
  }
}

/**
 * The first that knows the client: `firstOf(byApiKey(), byIp())`. Each gets the framework's request too, and may be
 * asynchronous. A client that makes up a key for each request is a new subject each time: check keys first, or limit
 * by address as well.
 */
export function firstOf<Request>(...subjects: readonly SubjectFunction<Request>[]): SubjectFunction<Request> {
  return (view, request) => firstFrom(subjects, 0, view, request)
}

function firstFrom<Request>(
  subjects: readonly SubjectFunction<Request>[],
  from: number,
  view: RequestView,
  request: Request,
): string | undefined | Promise<string | undefined> {
  for (let index = from; index < subjects.length; index++) {
    const found = subjects[index]?.(view, request)
    if (found instanceof Promise)
      return found.then((name) => name ?? firstFrom(subjects, index + 1, view, request))
    if (found !== undefined) return found
  }
  return undefined
}

function network(text: string, ipv6Prefix: number): string | undefined {
  // With a port, as some proxies write it: 192.0.2.1:443, [2001:db8::1]:443.
  const bare = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^([\d.]+):\d+$/, '$1')
  // Without its zone: fe80::1%eth0.
  const address = bare.split('%')[0] ?? ''
  if (!ipaddr.isValid(address)) return undefined
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return `ip:${parsed.toString()}`
  const prefix = ipaddr.IPv6.networkAddressFromCIDR(`${address}/${ipv6Prefix}`)
  return `ip:${prefix.toString()}/${ipv6Prefix}`
}
