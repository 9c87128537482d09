import { readFileSync } from 'node:fs'

/**
 * Prints what failed, where the end of a long log shows it, and what vitest counted: `N passed, N failed`. A file
 * that could not even run counts as a failure.
 */
const report = new URL('../.report/vitest.json', import.meta.url)
let passed = 0
let failed = 1
try {
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'))
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  for (const { name, message, assertionResults } of testResults) {
    for (const { status, fullName, failureMessages } of assertionResults) {
      if (status === 'failed') console.log(`failed: ${name}: ${fullName}\n${failureMessages.join('\n')}`)
    }
    if (broken.some((file) => file.name === name)) console.log(`failed: ${name}\n${message}`)
  }
  passed = numPassedTests
  failed = numFailedTests + broken.length
} catch (error) {
  console.error(`vitest left no report: ${error.message}`)
}
console.log(`${passed} passed, ${failed} failed`)
