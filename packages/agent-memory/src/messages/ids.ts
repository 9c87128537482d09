import { hash, randomUUID } from 'node:crypto'

/** Sixteen characters that two texts do not share. */
export function digestText(text: string): string {
  return hash('sha256', text, 'base64url').slice(0, 16)
}

/** A random id, shorter than a UUID's usual form: threads hold it twice. */
export function newId(): string {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
}
