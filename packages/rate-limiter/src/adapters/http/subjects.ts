import { createHash } from 'node:crypto'
import { InvalidOptionError } from '@evenkeel/core'
import { isPromiseLike, wholeNumber } from '@evenkeel/core/kit'
import ipaddr from 'ipaddr.js'

/** What a subject function sees of a request, whatever the framework. */
export interface RequestView {
  /** The first value of a header. Names are in lower case. */
  header(name: string): string | undefined
  /** Address of the connected peer, as the framework knows it. */
  readonly address: string | undefined
}

export type SubjectOf = (request: RequestView) => string | undefined

/** As {@link SubjectOf}, but also receives the framework's request. */
export type SubjectFunction<Request> = (
  view: RequestView,
  request: Request,
) => string | undefined | Promise<string | undefined>

export interface ByIpOptions {
  /**
   * Number of your own proxies in front of the service. Each appends to `X-Forwarded-For`, so the client's address is
   * that many entries from the right; entries further left were written by the client. 0 uses the peer's address.
   * @default 0
   */
  readonly trustedProxies?: number | undefined
  /** Leading bits of an IPv6 address that identify a client, who usually has a whole network. @default 64 */
  readonly ipv6Prefix?: number | undefined
}

/** Limits by network address. An IPv4 address in IPv6 form counts as IPv4. */
export function byIp({ trustedProxies = 0, ipv6Prefix = 64 }: ByIpOptions = {}): SubjectOf {
  wholeNumber('trustedProxies', trustedProxies, 0, 100)
  wholeNumber('ipv6Prefix', ipv6Prefix, 1, 128)
  return (request) => {
    const hops = (request.header('x-forwarded-for') ?? '').split(',').map((hop) => hop.trim())
    const address = trustedProxies === 0 ? request.address : hops.at(-trustedProxies)
    return address === undefined ? undefined : network(address, ipv6Prefix)
  }
}

/** Limits by API key: `Authorization: Bearer …` or another header. Only a digest of the key leaves this function. */
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
 * Uses the first function that identifies the client: `firstOf(byApiKey(), byIp())`. Each also receives the framework's
 * request, and may be asynchronous. A client that invents a key per request is a new subject each time: verify keys
 * first, or limit by address as well.
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
    if (isPromiseLike(found))
      return Promise.resolve(found).then((name) => name ?? firstFrom(subjects, index + 1, view, request))
    if (found !== undefined) return found
  }
  return undefined
}

function network(text: string, ipv6Prefix: number): string | undefined {
  // Some proxies add a port: 192.0.2.1:443, [2001:db8::1]:443.
  const bare = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? text.replace(/^([\d.]+):\d+$/, '$1')
  // Removes the zone: fe80::1%eth0.
  const address = bare.split('%')[0] ?? ''
  if (!ipaddr.isValid(address)) return undefined
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return `ip:${parsed.toString()}`
  const prefix = ipaddr.IPv6.networkAddressFromCIDR(`${address}/${ipv6Prefix}`)
  return `ip:${prefix.toString()}/${ipv6Prefix}`
}
