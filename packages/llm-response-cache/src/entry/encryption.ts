import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { InvalidOptionError } from '@evenkeel/core'

export interface EncryptOptions {
  /**
   * The first seals; all of them open, so a new key goes to the front, and an old one is dropped when what it
   * sealed has expired. Secrets are 32 bytes or more: a Buffer, or text in base64.
   */
  readonly keys: readonly { readonly id: string; readonly secret: Buffer | string }[]
  /** Keys the names of entries. With another one, everything is a miss. @default the secret of the last key */
  readonly nameSecret?: Buffer | string | undefined
}

const ivLength = 12
const tagLength = 16
const minSecret = 32

/**
 * Bodies in AES-256-GCM, each tenant under a data key of its own (HKDF-SHA-256 of the secret), bound to
 * the key and the head of their entry: moved to another place, or to another tenant, they don't open. Names
 * that a host chose are replaced by an HMAC.
 */
export class EntrySealer {
  readonly #secrets: ReadonlyMap<string, Buffer>
  readonly #sealing: { readonly id: string; readonly secret: Buffer }
  readonly #nameSecret: Buffer
  /** Data keys by key id and tenant. */
  readonly #dataKeys = new Map<string, Buffer>()

  constructor({ keys, nameSecret }: EncryptOptions) {
    const [first] = Array.isArray(keys) ? keys : []
    const last = keys?.at(-1)
    if (first === undefined || last === undefined) {
      throw new InvalidOptionError('encrypt.keys', 'one key or more', keys)
    }
    const secrets = new Map<string, Buffer>()
    for (const { id, secret } of keys) {
      if (typeof id !== 'string' || !/^[\w.-]{1,32}$/.test(id) || secrets.has(id)) {
        throw new InvalidOptionError('encrypt.keys.id', 'a short name of its own for each key', id)
      }
      secrets.set(id, secretOf(`encrypt.keys.${id}`, secret))
    }
    this.#secrets = secrets
    this.#sealing = { id: first.id, secret: secrets.get(first.id) ?? Buffer.alloc(0) }
    this.#nameSecret = secretOf('encrypt.nameSecret', nameSecret ?? last.secret)
  }

  /** The key's id behind its length, the nonce, the tag, the text. */
  seal(tenant: string, bound: readonly (string | Buffer)[], plain: Buffer): Buffer {
    const { id, secret } = this.#sealing
    const iv = randomBytes(ivLength)
    const cipher = createCipheriv('aes-256-gcm', this.#dataKey(id, secret, tenant), iv)
    cipher.setAAD(aadOf(bound))
    const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
    return Buffer.concat([Buffer.from([id.length]), Buffer.from(id), iv, cipher.getAuthTag(), sealed])
  }

  /** Nothing for what was altered, moved, or sealed with a key that is gone. */
  open(tenant: string, bound: readonly (string | Buffer)[], bytes: Buffer): Buffer | undefined {
    const ivAt = 1 + (bytes[0] ?? 0)
    const textAt = ivAt + ivLength + tagLength
    if (bytes.byteLength < textAt) return undefined
    const id = bytes.toString('utf8', 1, ivAt)
    const secret = this.#secrets.get(id)
    if (secret === undefined) return undefined
    const iv = bytes.subarray(ivAt, ivAt + ivLength)
    const decipher = createDecipheriv('aes-256-gcm', this.#dataKey(id, secret, tenant), iv)
    decipher.setAAD(aadOf(bound))
    decipher.setAuthTag(bytes.subarray(ivAt + ivLength, textAt))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(textAt)), decipher.final()])
    } catch {
      return undefined
    }
  }

  /** What Redis holds in place of a name that may contain a prompt. */
  hideName(tenant: string, name: string): string {
    return createHmac('sha256', this.#nameSecret)
      .update(`${tenant.length}:${tenant}${name}`)
      .digest('base64url')
  }

  #dataKey(id: string, secret: Buffer, tenant: string): Buffer {
    const name = `${id}\0${tenant}`
    const known = this.#dataKeys.get(name)
    if (known !== undefined) return known
    if (this.#dataKeys.size >= maxDataKeys) this.#dataKeys.clear()
    const derived = Buffer.from(hkdfSync('sha256', secret, tenant, 'evenkeel llm cache', 32))
    this.#dataKeys.set(name, derived)
    return derived
  }
}

/** Each is 32 bytes, made again in some microseconds. */
const maxDataKeys = 10_000

function aadOf(bound: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    bound.flatMap((part) => {
      const bytes = Buffer.from(part)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.byteLength)
      return [length, bytes]
    }),
  )
}

function secretOf(field: string, secret: unknown): Buffer {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'base64') : secret
  if (!Buffer.isBuffer(bytes) || bytes.byteLength < minSecret) {
    // Never what was given: an error goes to logs.
    throw new InvalidOptionError(field, `a secret of ${minSecret} bytes or more`, typeof secret)
  }
  return bytes
}
