/** Follows and answers orders, in the worker's own process. */
export function obeyOrders<Order>(obey: (order: Order) => Promise<unknown>): void {
  process.on('message', async ({ id, order }: { id: number; order: Order }) => {
    try {
      process.send?.({ id, value: await obey(order) })
    } catch (error) {
      process.send?.({ id, error: String(error) })
    }
  })
  process.on('disconnect', () => process.exit(0))
}
