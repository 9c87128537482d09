/** What one limit says of one call. */
export interface LimitResult {
  readonly allowed: boolean
  /** Units left; after the charge when it is allowed, as things are when it is not. */
  readonly remaining: number
  /** When the same cost can be admitted, if nothing else is charged until then; 0 when it is allowed. */
  readonly retryAfterMs: number
  /** When the limit is whole again, if nothing else is charged until then; milliseconds of the deciding clock. */
  readonly resetAtMs: number
  /** As of when it was charged, if it was; settling needs it. */
  readonly chargedAtMs: number
}
