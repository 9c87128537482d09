import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { InvalidInputError, InvalidOptionError } from '@evenkeel/core'
import { option } from '@evenkeel/core/kit'
import { AddressRefusedError } from '../errors.js'

export interface AddressPolicy {
  /**
   * Hosts that nodes may have, without scheme and port; `*.example.com` allows all below it. A loopback address is
   * allowed only if it is listed itself (`127.0.0.1`, `localhost`). @default any that is not refused
   */
  readonly hosts?: readonly string[] | undefined
  /** @default ['https:', 'http:'] */
  readonly schemes?: readonly ('https:' | 'http:')[] | undefined
  /** Looks a name's addresses up. @default DNS */
  readonly resolve?: ((host: string) => Promise<readonly string[]>) | undefined
}

/**
 * Addresses that no inference node has, and that a stranger must not make a coordinator call: link-local ones, where
 * clouds serve credentials (169.254.169.254 and others), "this host", multicast and broadcast.
 */
const refused = new BlockList()
refused.addSubnet('169.254.0.0', 16, 'ipv4')
refused.addSubnet('0.0.0.0', 8, 'ipv4')
refused.addSubnet('224.0.0.0', 4, 'ipv4')
refused.addAddress('255.255.255.255', 'ipv4')
// Alibaba, Azure, Oracle.
for (const address of ['100.100.100.200', '168.63.129.16', '192.0.0.192']) refused.addAddress(address, 'ipv4')
refused.addSubnet('fe80::', 10, 'ipv6')
refused.addSubnet('ff00::', 8, 'ipv6')
refused.addAddress('::', 'ipv6')
// AWS (also EKS Pod Identity), Google, Scaleway, Oracle.
refused.addSubnet('fd00:ec2::', 32, 'ipv6')
refused.addAddress('fd20:ce::254', 'ipv6')
refused.addAddress('fd00:42::42', 'ipv6')
refused.addAddress('fd00:c1::a9fe:a9fe', 'ipv6')

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

const refusedNames =
  /^(?:metadata|metadata\.google\.internal|metadata\.goog|metadata\.azure\.(?:com|internal)|metadata\.packet\.net|metadata\.platformequinix\.com|metadata\.tencentyun\.com|instance-data(?:\..*)?)$/
const loopbackNames = /^(?:localhost|.*\.localhost|localhost\.localdomain|ip6-localhost|ip6-loopback)$/

export function checkPolicy(policy: AddressPolicy): void {
  option.members('addresses', policy, { hosts: true, schemes: true, resolve: true })
  const { hosts, schemes } = policy
  if (hosts !== undefined) {
    for (const [index, pattern] of option.list('addresses.hosts', hosts).entries()) {
      checkPattern(`addresses.hosts[${index}]`, pattern)
    }
  }
  if (
    schemes !== undefined &&
    option.list('addresses.schemes', schemes).some((one) => one !== 'http:' && one !== 'https:')
  ) {
    throw new InvalidOptionError('addresses.schemes', "'http:', 'https:'", schemes)
  }
}

/** Refuses a pattern that can match nothing, which would silently exclude the hosts that it is meant to allow. */
function checkPattern(field: string, pattern: unknown): void {
  const expected = "a host name or address, or '*.' and a domain, without scheme, port and path"
  if (typeof pattern !== 'string') throw new InvalidOptionError(field, expected, pattern)
  const host = pattern.startsWith('*.') ? pattern.slice(2) : pattern
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  const isAddress = isIP(bare) !== 0
  if (
    isAddress ? pattern.startsWith('*.') : !/^[\p{L}\p{N}_]([\p{L}\p{N}._-]*[\p{L}\p{N}_])?\.?$/u.test(host)
  ) {
    throw new InvalidOptionError(field, expected, pattern)
  }
}

/**
 * Checks whether a stranger may register an endpoint. A name is looked up, and refused if any of its addresses is; an
 * unknown name is allowed here, and looked up again when it is called. @throws INVALID_INPUT
 */
export async function checkAddress(endpoint: string, policy: AddressPolicy): Promise<void> {
  const url = new URL(endpoint)
  const { hosts, schemes = ['https:', 'http:'], resolve = addressesOf } = policy
  if (!schemes.some((scheme) => scheme === url.protocol)) {
    throw new InvalidInputError('endpoint', `one of the schemes ${schemes.join(', ')}`, endpoint)
  }
  const host = hostOf(url)
  if (hosts !== undefined && !hosts.some((pattern) => fits(pattern, host))) {
    throw new InvalidInputError('endpoint', 'a host that this coordinator allows', endpoint)
  }
  const addresses = isIP(host) === 0 ? await resolve(host).catch(() => []) : [host]
  if (isRefusedHost(host) || addresses.some(isRefused)) {
    throw new InvalidInputError(
      'endpoint',
      'an address that is not link-local or a metadata service',
      endpoint,
    )
  }
  if (isNamed(host, hosts)) return
  if (loopbackNames.test(host) || addresses.some(isLoopback)) {
    throw new InvalidInputError(
      'endpoint',
      'an address that is not loopback, or one that `hosts` names',
      endpoint,
    )
  }
}

/** How long the result of a look-up is used. */
const lookupMs = 2_000
const maxLookups = 10_000

interface Lookup {
  readonly at: number
  readonly isRefused: Promise<boolean>
  /** Once it is known. */
  answer?: boolean
}

/**
 * Checks a node's address again when it is called, because its name may mean another address by then. The policy is set
 * by a coordinator where strangers register nodes; without it, only link-local addresses and metadata services are
 * refused.
 */
export class AddressGuard {
  policy: AddressPolicy | undefined
  readonly #lookups = new Map<string, Lookup>()
  readonly #hosts = new Map<string, string>()

  /**
   * Returns nothing if the endpoint may be called, or a promise if its name is looked up first. Names are looked up if
   * `byName`, or if the policy says how. @throws AddressRefusedError, or rejects with it
   */
  check(endpoint: string, byName: boolean): Promise<void> | undefined {
    const host = this.#hostOf(endpoint)
    if (isRefusedHost(host) || (isIP(host) !== 0 && this.#isRefused(host, host))) {
      throw new AddressRefusedError(host)
    }
    if (isIP(host) !== 0 || !(byName || this.policy?.resolve !== undefined)) return undefined
    const known = this.#lookups.get(host)
    const lookedUp =
      known !== undefined && performance.now() - known.at < lookupMs ? known : this.#lookUp(host)
    if (lookedUp.answer === false) return undefined
    return lookedUp.isRefused.then((refuses) => {
      if (refuses) throw new AddressRefusedError(host)
    })
  }

  #lookUp(host: string): Lookup {
    const { resolve = addressesOf } = this.policy ?? {}
    const isRefused = Promise.resolve(resolve(host))
      // What can't be looked up can't be called either.
      .catch((): readonly string[] => [])
      .then((addresses) => addresses.some((address) => this.#isRefused(address, host)))
    const made: Lookup = { at: performance.now(), isRefused }
    void isRefused.then((answer) => {
      made.answer = answer
    })
    if (this.#lookups.size >= maxLookups) this.#lookups.clear()
    this.#lookups.set(host, made)
    return made
  }

  #isRefused(address: string, host: string): boolean {
    if (isRefused(address)) return true
    return this.policy !== undefined && isLoopback(address) && !isNamed(host, this.policy.hosts)
  }

  #hostOf(endpoint: string): string {
    const known = this.#hosts.get(endpoint)
    if (known !== undefined) return known
    const host = hostOf(new URL(endpoint))
    if (this.#hosts.size >= maxLookups) this.#hosts.clear()
    this.#hosts.set(endpoint, host)
    return host
  }
}

/** In lower case and ASCII as URLs have it, without the brackets of IPv6 and the dots at the end of a full name. */
function hostOf(url: URL): string {
  const { hostname } = url
  if (hostname.startsWith('[')) return hostname.slice(1, -1)
  let end = hostname.length
  while (hostname[end - 1] === '.') end--
  return hostname.slice(0, end)
}

function isRefusedHost(host: string): boolean {
  return refusedNames.test(host)
}

/** Results of {@link isRefused}, kept because each request to a node checks its address. */
const verdicts = new Map<string, boolean>()

function isRefused(address: string): boolean {
  const known = verdicts.get(address)
  if (known !== undefined) return known
  const verdict = inside(refused, address)
  if (verdicts.size >= maxLookups) verdicts.clear()
  verdicts.set(address, verdict)
  return verdict
}

function isLoopback(address: string): boolean {
  return inside(loopback, address)
}

function inside(list: BlockList, address: string): boolean {
  // A zone (`%eth0`) is no part of the address.
  const [bare = address] = address.split('%')
  const version = isIP(bare)
  if (version === 4) return list.check(bare, 'ipv4')
  if (version !== 6) return false
  return list.check(bare, 'ipv6') || embedded(groupsOf(bare)).some((inner) => list.check(inner, 'ipv4'))
}

/** IPv4 addresses that an IPv6 address leads to: mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP. */
function embedded(groups: readonly number[]): readonly string[] {
  const at = (index: number) => groups[index] ?? 0
  const begins = (...prefix: number[]) => prefix.every((group, index) => at(index) === group)
  const v4 = (high: number, low: number) => [high >> 8, high & 255, low >> 8, low & 255].join('.')
  const last = v4(at(6), at(7))
  const found: string[] = []
  const isLow = begins(0, 0, 0, 0)
  if (isLow && [0, 0xffff].includes(at(4)) && [0, 0xffff].includes(at(5))) found.push(last)
  if (begins(0x64, 0xff9b)) found.push(last)
  if (begins(0x2002)) found.push(v4(at(1), at(2)))
  if (begins(0x2001, 0)) found.push(v4(at(6) ^ 0xffff, at(7) ^ 0xffff))
  if (at(5) === 0x5efe && [0, 0x200].includes(at(4))) found.push(last)
  // `::1` is an address of its own, not an IPv4-compatible one.
  return found.filter((inner) => !(isLow && at(4) === 0 && at(5) === 0 && at(6) === 0) || inner === '0.0.0.0')
}

/** The eight numbers of an IPv6 address, as URL writes them: in hexadecimal, the longest row of zeros left out. */
function groupsOf(address: string): readonly number[] {
  const written = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = written.split('::')
  const parse = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const first = parse(head)
  const second = tail === undefined ? [] : parse(tail)
  return [...first, ...Array.from({ length: 8 - first.length - second.length }, () => 0), ...second]
}

/** Whether the policy has the host itself, and not a pattern that fits it. */
function isNamed(host: string, hosts: AddressPolicy['hosts']): boolean {
  return hosts?.some((pattern) => !pattern.startsWith('*.') && fits(pattern, host)) === true
}

function fits(pattern: string, host: string): boolean {
  const isBelow = pattern.startsWith('*.')
  const wanted = canonical(isBelow ? pattern.slice(2) : pattern)
  return isBelow ? host.endsWith(`.${wanted}`) : host === wanted
}

/** A host as URLs write it, so that case, letters beyond ASCII and different forms of an address do not matter. */
function canonical(pattern: string): string {
  const bare = pattern.replace(/^\[(.*)\]$/, '$1')
  const authority = isIP(bare) === 6 ? `[${bare}]` : bare
  return URL.canParse(`http://${authority}`) ? hostOf(new URL(`http://${authority}`)) : bare.toLowerCase()
}

async function addressesOf(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}
