// Loaded before a gateway's own code: tells the bench, when asked, what the kernel says its processor time is.
process.on('message', (message) => {
  if (message === 'cpu') process.send?.({ cpu: process.cpuUsage() })
})
// Asking must not be what keeps it alive, nor outlive the bench.
process.channel?.unref()
process.on('disconnect', () => process.exit(0))
