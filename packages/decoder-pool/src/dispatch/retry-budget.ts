/** Retries and hedges may add a fifth to the requests, and a few if there are few requests. */
const budgetShare = 0.2
const budgetFloor = 3
const budgetMax = 100

/**
 * A budget of retries (as in Finagle and Envoy): each request earns a part of one, and each retry spends one, so that
 * retries do not multiply the load of a failing pool.
 */
export class RetryBudget {
  #balance = budgetFloor

  earn(): void {
    this.#balance = Math.min(budgetMax, this.#balance + budgetShare)
  }

  spend(): boolean {
    if (this.#balance < 1) return false
    this.#balance--
    return true
  }
}
