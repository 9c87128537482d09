import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TlsFiles {
  /** PEM texts: the authority to trust, and a certificate and key that it vouches for. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/**
 * Makes an authority, and a certificate by it for 127.0.0.1 and localhost, in `dir` as `cert.pem` and `key.pem`. They
 * are two, since some clients refuse an authority's own certificate as a server's.
 */
export function makeCertificate(dir: string): TlsFiles {
  const file = (name: string) => join(dir, name)
  const [caFile, caKeyFile, certFile, keyFile] = [
    file('ca.pem'),
    file('ca-key.pem'),
    file('cert.pem'),
    file('key.pem'),
  ]
  const create = (subject: string, key: string, certificate: string, ...more: string[]) => {
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    const about = ['-days', '30', '-subj', subject, '-keyout', key, '-out', certificate]
    execFileSync('openssl', ['req', '-x509', ...curve, ...about, ...more], { stdio: 'pipe' })
  }
  try {
    create('/CN=authority', caKeyFile, caFile, '-addext', 'keyUsage=critical,keyCertSign')
    const names = [
      '-addext',
      'subjectAltName=DNS:localhost,IP:127.0.0.1',
      '-addext',
      'basicConstraints=critical,CA:FALSE',
    ]
    create('/CN=localhost', keyFile, certFile, '-CA', caFile, '-CAkey', caKeyFile, ...names)
  } catch (cause) {
    throw new Error('tests with TLS make their certificate with `openssl`, which did not work: install it', {
      cause,
    })
  }
  const read = (path: string) => readFileSync(path, 'utf8')
  return { ca: read(caFile), cert: read(certFile), key: read(keyFile) }
}
