import { existsSync, readFileSync } from 'node:fs'

/**
 * Prints the failures, so that the end of a long log shows them, and the totals of all runs of vitest:
 * `N passed, N failed`. A file that could not even run counts as a failure, and so does a run that left no report.
 */
let passed = 0
let failed = 0
const report = (run) => new URL(`../.report/${run}.json`, import.meta.url)
// The site's run needs a browser, which not every machine has.
for (const run of ['vitest', 'outside', ...(existsSync(report('site')) ? ['site'] : [])]) {
  try {
    count(JSON.parse(readFileSync(report(run), 'utf8')))
  } catch (error) {
    failed++
    console.error(`vitest left no report: ${error.message}`)
  }
}
console.log(`${passed} passed, ${failed} failed`)

function count({ numPassedTests, numFailedTests, testResults }) {
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  for (const { name, message, assertionResults } of testResults) {
    for (const { status, fullName, failureMessages } of assertionResults) {
      // For a test that timed out, the runner's report has a placeholder in place of the message.
      const reason = failureMessages.join('\n').replaceAll('STACK_TRACE_ERROR', 'the time-out of the test')
      if (status === 'failed') console.log(`failed: ${name}: ${fullName}\n${reason}`)
    }
    if (broken.some((file) => file.name === name)) console.log(`failed: ${name}\n${message}`)
  }
  passed += numPassedTests
  failed += numFailedTests + broken.length
}
