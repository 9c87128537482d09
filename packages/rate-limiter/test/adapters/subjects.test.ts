import { describe, expect, it } from 'vitest'
import { byApiKey, byIp, firstOf, type RequestView } from '../../src/adapters/http/subjects.js'

function view(address: string | undefined, headers: Record<string, string> = {}): RequestView {
  return { address, header: (name) => headers[name] }
}

describe('a network address', () => {
  it.each([
    ['192.0.2.1', 'ip:192.0.2.1'],
    ['::ffff:192.0.2.1', 'ip:192.0.2.1'],
    ['192.0.2.1:443', 'ip:192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', 'ip:2001:db8:1:2::/64'],
    ['2001:DB8:1:2::', 'ip:2001:db8:1:2::/64'],
    ['[2001:db8:1:2::9]:443', 'ip:2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'ip:fe80::/64'],
    ['::1', 'ip:::/64'],
    ['unknown', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%s is limited as %s', (address, subject) => {
    expect(byIp()(view(address))).toBe(subject)
  })

  it('is the peer’s own, unless proxies are trusted: a client may write what it likes', () => {
    const spoofed = view('10.0.0.1', { 'x-forwarded-for': '1.1.1.1, 203.0.113.9, 10.0.0.2' })
    expect(byIp()(spoofed)).toBe('ip:10.0.0.1')
    expect(byIp({ trustedProxies: 1 })(spoofed)).toBe('ip:10.0.0.2')
    expect(byIp({ trustedProxies: 2 })(spoofed)).toBe('ip:203.0.113.9')
    expect(byIp({ trustedProxies: 9 })(spoofed)).toBe(undefined)
    expect(byIp({ trustedProxies: 1 })(view('10.0.0.1'))).toBe(undefined)
  })

  it.each([{ trustedProxies: -1 }, { trustedProxies: 1.5 }, { ipv6Prefix: 0 }, { ipv6Prefix: 129 }])(
    'refuses %j',
    (options) => {
      expect(() => byIp(options)).toThrow(/expected/)
    },
  )
})

describe('an API key', () => {
  it('goes nowhere but as a digest', () => {
    const subject = byApiKey()(view(undefined, { authorization: 'Bearer sk-secret' }))
    expect(subject).toMatch(/^key:[\w-]{22}$/)
    expect(subject).not.toContain('secret')
    expect(byApiKey()(view(undefined, { authorization: 'bearer sk-secret' }))).toBe(subject)
    expect(byApiKey({ header: 'X-Api-Key' })(view(undefined, { 'x-api-key': 'sk-secret' }))).toBe(subject)
    expect(byApiKey()(view(undefined, { authorization: 'Bearer ' }))).toBe(undefined)
  })

  it('comes first where several may name the client', () => {
    const subject = firstOf(byApiKey(), byIp())
    expect(subject(view('192.0.2.1', { authorization: 'k' }), undefined)).toMatch(/^key:/)
    expect(subject(view('192.0.2.1'), undefined)).toBe('ip:192.0.2.1')
  })
})
