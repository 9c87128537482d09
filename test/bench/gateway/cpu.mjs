// Loaded before a gateway's own code: on request it sends the bench the process's CPU time, as the kernel counts it.
process.on('message', (message) => {
  if (message === 'cpu') process.send?.({ cpu: process.cpuUsage() })
})
// The channel must not keep the process alive, and the process must not outlive the bench.
process.channel?.unref()
process.on('disconnect', () => process.exit(0))
