import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { InvalidInputError, InvalidOptionError } from '@evenkeel/core'

export interface AddressPolicy {
  /** Hosts that nodes may have; `*.example.com` is for all below it. @default any that is not refused */
  readonly hosts?: readonly string[] | undefined
  /** @default ['https:', 'http:'] */
  readonly schemes?: readonly ('https:' | 'http:')[] | undefined
  /** Looks a name's addresses up. @default DNS */
  readonly resolve?: ((host: string) => Promise<readonly string[]>) | undefined
}

/**
 * Addresses that no inference node has, and that a coordinator must not be made to call for a stranger: link-local
 * ones, where clouds tell credentials (169.254.169.254 and its kin), and "this host".
 */
const refused = new BlockList()
refused.addSubnet('169.254.0.0', 16, 'ipv4')
refused.addSubnet('0.0.0.0', 8, 'ipv4')
refused.addSubnet('fe80::', 10, 'ipv6')
refused.addAddress('::', 'ipv6')
refused.addAddress('fd00:ec2::254', 'ipv6')
refused.addAddress('100.100.100.200', 'ipv4')
refused.addAddress('168.63.129.16', 'ipv4')

const refusedNames = /^(?:metadata|metadata\.google\.internal|metadata\.goog|instance-data(?:\..*)?)$/i

/**
 * Whether a coordinator may be told to call an endpoint. A name is looked up, and refused if any of its addresses
 * is; what it means later is the resolver's word. @throws INVALID_INPUT
 */
export async function checkAddress(endpoint: string, policy: AddressPolicy): Promise<void> {
  const url = new URL(endpoint)
  const { hosts, schemes = ['https:', 'http:'], resolve = addressesOf } = policy
  if (!schemes.some((scheme) => scheme === url.protocol)) {
    throw new InvalidInputError('endpoint', `one of the schemes ${schemes.join(', ')}`, endpoint)
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (hosts !== undefined && !hosts.some((pattern) => fits(pattern, host))) {
    throw new InvalidInputError('endpoint', 'a host that this coordinator allows', endpoint)
  }
  const addresses = isIP(host) === 0 ? await resolve(host).catch(() => []) : [host]
  if (refusedNames.test(host) || addresses.some(isRefused)) {
    throw new InvalidInputError(
      'endpoint',
      'an address that is not link-local or a metadata service',
      endpoint,
    )
  }
}

export function checkPolicy({ hosts, schemes }: AddressPolicy): void {
  if (hosts !== undefined && !Array.isArray(hosts))
    throw new InvalidOptionError('addresses.hosts', 'a list', hosts)
  if (schemes?.some((scheme) => scheme !== 'http:' && scheme !== 'https:')) {
    throw new InvalidOptionError('addresses.schemes', "'http:', 'https:'", schemes)
  }
}

function isRefused(address: string): boolean {
  const version = isIP(address)
  if (version === 4) return refused.check(address, 'ipv4')
  // IPv4 within IPv6 is checked as what it is.
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  return mapped === undefined ? refused.check(address, 'ipv6') : refused.check(mapped, 'ipv4')
}

function fits(pattern: string, host: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern
}

async function addressesOf(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}
