import { type Certificate, certify } from './certificate.js'
import { cleanTrialsFor } from './clopper-pearson.js'
import { firstModel, fitModel, type Labelled, type Model } from './model.js'

export interface Bound {
  /** The share of wrong answers among those served that must not be passed, above 0 and below 1/3. */
  readonly maxErrorRate: number
  /** How sure that has to be, over all epochs together. */
  readonly confidence: number
  /** The share of wrong answers that the judge takes for right; the bound is drawn tighter by it. */
  readonly judgeMissRate: number
}

/**
 * What is decided by while an epoch lasts. Nothing in it changes before the epoch's end, so that the
 * epoch's audits are independent trials of one fixed rule.
 */
export interface Policy {
  /** From 1. */
  readonly epoch: number
  /** The model that this epoch's audits are about. */
  readonly candidate: Model
  /** What the epoch before has proved: it is what is served by. Nothing is served without it. */
  readonly serving: { readonly model: Model; readonly certificate: Certificate } | undefined
}

export const firstPolicy: Policy = { epoch: 1, candidate: firstModel, serving: undefined }

/** Audits that an epoch gathers at most. */
const longest = 16_384

/** Half of the doubt for the first epoch, a quarter for the second …: all together they are the whole. */
export function confidenceIn(epoch: number, { confidence }: Bound): number {
  return 1 - (1 - confidence) / 2 ** Math.min(epoch, 40)
}

/** Tightened, since some wrong answers pass for right. */
function provableRate({ maxErrorRate, judgeMissRate }: Bound): number {
  return maxErrorRate * (1 - judgeMissRate)
}

/**
 * How many audits end an epoch: enough for two proofs without an error, and each time twice as many. It
 * depends on the number alone, not on what the audits say.
 */
export function lengthOf(epoch: number, bound: Bound): number {
  const fewest = cleanTrialsFor(provableRate(bound), confidenceIn(epoch, bound))
  return Math.max(2 * fewest, Math.min(longest, 2 * fewest * 2 ** (epoch - 1)))
}

export interface EpochAudit extends Labelled {
  readonly score: number
}

/** The next epoch's policy: what the audits prove of this one's model, and the model learned from them. */
export function nextPolicy(policy: Policy, audits: readonly EpochAudit[], bound: Bound): Policy {
  const certificate = certify(audits, {
    maxErrorRate: provableRate(bound),
    confidence: confidenceIn(policy.epoch, bound),
  })
  const epoch = policy.epoch + 1
  return {
    epoch,
    candidate: fitModel(audits, policy.candidate, epoch),
    serving: certificate && {
      model: policy.candidate,
      certificate: { ...certificate, errorBound: certificate.errorBound / (1 - bound.judgeMissRate) },
    },
  }
}

/** After a drift: nothing is served until it is proved anew. */
export function policyAfterDrift(policy: Policy): Policy {
  const epoch = policy.epoch + 1
  return { epoch, candidate: { ...policy.candidate, epoch }, serving: undefined }
}
