/** What retries and hedges may add: a fifth of the requests, and a few for who sends few. */
const budgetShare = 0.2
const budgetFloor = 3
const budgetMax = 100

/**
 * A budget of retries (as Finagle's and Envoy's): each request earns a part of one, each retry spends one, so
 * that a pool that fails is not given a multiple of its load on top.
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
