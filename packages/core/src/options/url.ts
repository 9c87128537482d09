import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { InvalidOptionError } from '../errors.js'
import { option } from '../kit/validate.js'

/** `'host:port'`, `'[::1]:port'`, a `redis:` URL, or its parts. */
export type NodeAddress = string | { readonly host: string; readonly port: number }

export interface HostAndPort {
  readonly host: string
  readonly port: number
}

/** The parts of an address; parts that it leaves out are absent. */
export interface AddressParts {
  readonly host?: string
  readonly port?: number
  /** Path of a Unix socket. */
  readonly path?: string
  readonly username?: string
  readonly password?: string
  readonly database?: number
  /** Absent if the address is not a URL, or is a Unix socket. */
  readonly tls?: boolean
}

const urlForm = "a URL like 'redis://user:password@host:6379/0', 'rediss://…' or 'unix:///path'"
const encodedForm =
  'a URL in whose user and password the characters # / ? @ % are percent-encoded (# is %23, % is %25)'

const schemes: Readonly<Record<string, { readonly tls: boolean }>> = {
  'redis:': { tls: false },
  'rediss:': { tls: true },
  'valkey:': { tls: false },
  'valkeys:': { tls: true },
}

/**
 * Parses a Redis URL. Every part is decoded or refused. Errors name `field` and what is wrong, and never repeat the
 * URL, since it may hold a password.
 *
 * @throws InvalidOptionError
 */
export function parseUrl(field: string, text: unknown): AddressParts {
  if (typeof text !== 'string') throw new InvalidOptionError(field, urlForm, text)
  const url = parsed(field, text)
  const credentials = {
    ...(url.username && { username: decoded(field, text, url.username) }),
    ...(url.password && { password: decoded(field, text, url.password) }),
  }
  if (url.protocol === 'unix:') {
    return { ...credentials, path: socketPath(field, text, url), ...databaseOf(field, text, url, '') }
  }
  const scheme = Object.hasOwn(schemes, url.protocol) ? schemes[url.protocol] : undefined
  if (scheme === undefined || !text.includes('://')) throw new InvalidOptionError(field, urlForm, text)
  const path = url.pathname.startsWith('/') ? url.pathname.slice(1) : url.pathname
  if (!/^\d*$/.test(path)) {
    throw new InvalidOptionError(field, "a database number as the URL's path, such as /0", text)
  }
  return {
    ...credentials,
    host: hostOf(field, text, url) || '127.0.0.1',
    ...(url.port && { port: numberWithin(field, text, url.port, 1) }),
    ...databaseOf(field, text, url, path),
    tls: scheme.tls,
  }
}

function parsed(field: string, text: string): URL {
  const isSocket = text.startsWith('unix:')
  if (text.includes('#') || (!isSocket && hasRawDelimiter(text))) {
    throw new InvalidOptionError(field, encodedForm, text)
  }
  try {
    // The URL standard requires a host after user and password; a socket has none.
    return new URL(isSocket ? text.replace('@/', '@localhost/') : text)
  } catch {
    throw new InvalidOptionError(field, urlForm, text)
  }
}

/** A raw `/` or `?` in a password ends the host, so that the rest, up to the `@`, would be parsed as a path. */
function hasRawDelimiter(text: string): boolean {
  const authority = text.slice(text.indexOf('://') + 3)
  const ends = [authority.indexOf('/'), authority.indexOf('?')].filter((at) => at >= 0)
  return ends.length > 0 && authority.lastIndexOf('@') > Math.min(...ends)
}

function decoded(field: string, text: string, part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new InvalidOptionError(field, encodedForm, text)
  }
}

function hostOf(field: string, text: string, url: URL): string {
  if (url.hostname.startsWith('[')) return url.hostname.slice(1, -1)
  return checkHost(field, decoded(field, text, url.hostname), text)
}

function socketPath(field: string, text: string, url: URL): string {
  const path = decoded(field, text, url.pathname)
  if (!path.startsWith('/') || path.length === 1 || (url.hostname !== '' && url.hostname !== 'localhost')) {
    throw new InvalidOptionError(field, "a URL of a socket like 'unix:///path', with three slashes", text)
  }
  return path
}

/** The database is in the path, or in `?db=` as in other clients. Other parameters are refused by name. */
function databaseOf(field: string, text: string, url: URL, path: string): { readonly database?: number } {
  let number = path
  for (const [name, value] of url.searchParams) {
    if (name !== 'db') throw new InvalidOptionError(field, `no parameter${named(name)} in the URL`, text)
    if (!/^\d+$/.test(value) || (number !== '' && number !== value)) {
      throw new InvalidOptionError(field, 'one database number, as path or as parameter db', text)
    }
    number = value
  }
  if (number === '') return {}
  return { database: numberWithin(field, text, number, 0) }
}

function named(parameter: string): string {
  return /^[a-zA-Z_]{1,24}$/.test(parameter) ? ` '${parameter}'` : ''
}

/** A host name or an IP address, in the form that the resolver takes. */
export function checkHost(field: string, host: unknown, given: unknown = host): string {
  if (typeof host === 'string' && /^[\x21-\x7e]*$/.test(host)) {
    const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
    if (isIP(bare.split('%', 1)[0] ?? '') === 6) return bare
    if (!/[@:/?#[\]\\%]/.test(host)) return host
  } else if (typeof host === 'string' && !/\s/.test(host)) {
    const ascii = domainToASCII(host)
    if (ascii !== '') return ascii
  }
  throw new InvalidOptionError(field, 'a host name or IP address, without port, user and scheme', given)
}

/** `'host:port'`, `'[v6]:port'`, a URL, or `{ host, port }`. The port is 6379 by default. */
export function parseAddress(field: string, node: NodeAddress): AddressParts & HostAndPort {
  if (typeof node !== 'string') {
    option.members(field, node, { host: true, port: true })
    return {
      host: checkHost(`${field}.host`, node.host),
      port: option.integer(`${field}.port`, node.port, { max: 65_535 }),
    }
  }
  if (node.includes('://')) {
    const { path, ...parts } = parseUrl(field, node)
    if (path !== undefined) throw new InvalidOptionError(field, 'a host and a port, no unix socket', node)
    return { port: 6_379, host: '127.0.0.1', ...parts }
  }
  const text = node.trim()
  if (isIP(text) === 6) return { host: text, port: 6_379 }
  const match = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(text)
  if (match === null) {
    throw new InvalidOptionError(field, "an address like 'host:6379' or '[::1]:6379', or a URL", node)
  }
  return {
    host: checkHost(field, match[1], node),
    port: numberWithin(field, node, match[2] ?? '6379', 1),
  }
}

/** Misplaced digits may be part of a password, so the error does not repeat them. */
function numberWithin(field: string, given: string, digits: string, min: 0 | 1): number {
  const number = Number(digits)
  if (number >= min && number <= 65_535) return number
  throw new InvalidOptionError(field, `a ${min === 1 ? 'port' : 'database'} from ${min} to 65535`, given)
}
