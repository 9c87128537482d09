import { isRecord } from '../../json.js'
import type { Certificate } from '../policy/certificate.js'
import { type EpochAudit, firstPolicy, type Policy } from '../policy/epochs.js'
import { firstModel, type Model } from '../policy/model.js'

export function encodePolicy(policy: Policy): string {
  return JSON.stringify(policy)
}

/** An unreadable policy becomes one that serves nothing and learns from the start: damage only costs hits. */
export function decodePolicy(text: string, epoch: number): Policy {
  const fallback: Policy = { ...firstPolicy, epoch, candidate: { ...firstModel, epoch } }
  if (text === '') return fallback
  const value = parse(text)
  if (!isRecord(value) || value.epoch !== epoch || !isModel(value.candidate)) return fallback
  const { candidate, serving } = value
  if (!isRecord(serving)) return { epoch, candidate, serving: undefined }
  if (!isModel(serving.model) || !isCertificate(serving.certificate)) return fallback
  return { epoch, candidate, serving: { model: serving.model, certificate: serving.certificate } }
}

/** `score right features…` */
export function encodeAudit({ score, right, features }: EpochAudit): string {
  return [score, right ? 1 : 0, ...features].join(' ')
}

export function decodeAudits(lines: readonly string[]): readonly EpochAudit[] {
  return lines.flatMap((line) => {
    const numbers = line.split(' ').map(Number)
    const [score = Number.NaN, right, ...features] = numbers
    if (!numbers.every(Number.isFinite) || features.length !== firstModel.weights.length) return []
    return [{ score, right: right === 1, features }]
  })
}

function isModel(value: unknown): value is Model {
  if (!isRecord(value) || !Array.isArray(value.weights)) return false
  return (
    value.weights.length === firstModel.weights.length &&
    [value.epoch, ...value.weights].every(Number.isFinite)
  )
}

function isCertificate(value: unknown): value is Certificate {
  if (!isRecord(value)) return false
  const { threshold, audits, errors, errorBound, confidence } = value
  return [threshold, audits, errors, errorBound, confidence].every(Number.isFinite)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
