import { type Certificate, certify } from './certificate.js'
import { cleanTrialsFor } from './clopper-pearson.js'
import { firstModel, fitModel, type Labelled, type Model } from './model.js'

export interface Bound {
  /** Maximum share of wrong answers among those served, above 0 and below 1/3. */
  readonly maxErrorRate: number
  /** The confidence of that, over all epochs together. */
  readonly confidence: number
  /** Share of wrong answers that the judge accepts; it tightens the bound. */
  readonly judgeMissRate: number
}

/**
 * The rules of an epoch. They do not change before the epoch's end, so that the epoch's audits are independent
 * trials of one fixed rule.
 */
export interface Policy {
  /** From 1. */
  readonly epoch: number
  /** The model that this epoch's audits test. */
  readonly candidate: Model
  /** What the epoch before has proved, and answers are served by. Without it nothing is served. */
  readonly serving: { readonly model: Model; readonly certificate: Certificate } | undefined
}

export const firstPolicy: Policy = { epoch: 1, candidate: firstModel, serving: undefined }

/** Number of audits up to which epochs grow. */
const longest = 16_384

/** The first epoch uses half of the allowed doubt, the second a quarter …: together they use no more than the whole. */
export function confidenceIn(epoch: number, { confidence }: Bound): number {
  return 1 - (1 - confidence) / 2 ** Math.min(epoch, 40)
}

/** The rate to prove: tightened, since the judge accepts some wrong answers. */
function provableRate({ maxErrorRate, judgeMissRate }: Bound): number {
  return maxErrorRate * (1 - judgeMissRate)
}

/**
 * Number of audits that end an epoch: enough for two proofs without an error, and twice as many in each further
 * epoch. It depends only on the epoch's number, not on the results of the audits.
 */
export function lengthOf(epoch: number, bound: Bound): number {
  const fewest = cleanTrialsFor(provableRate(bound), confidenceIn(epoch, bound))
  return Math.max(2 * fewest, Math.min(longest, 2 * fewest * 2 ** (epoch - 1)))
}

export interface EpochAudit extends Labelled {
  readonly score: number
}

/** The next epoch's policy: what the audits prove about this epoch's model, and the model learned from them. */
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

/** The policy after a drift: nothing is served until the bound is proved again. */
export function policyAfterDrift(policy: Policy): Policy {
  const epoch = policy.epoch + 1
  return { epoch, candidate: { ...policy.candidate, epoch }, serving: undefined }
}
