import * as memory from '@evenkeel/agent-memory'
import * as core from '@evenkeel/core'
import * as pool from '@evenkeel/decoder-pool'
import * as cache from '@evenkeel/llm-response-cache'
import * as limiter from '@evenkeel/rate-limiter'
import { expect, it } from 'vitest'

const packages = { core, limiter, cache, memory, pool }

it.each(Object.entries(packages))(
  'the error classes of %s keep their names in a minified service',
  (_, entry) => {
    const classes = Object.entries(entry).filter(
      ([, one]) => typeof one === 'function' && one.prototype instanceof Error,
    )
    expect(classes.length).toBeGreaterThan(2)
    for (const [name, one] of classes)
      expect(Object.getOwnPropertyDescriptor(one, Symbol.for('evenkeel.error.name'))?.value, name).toBe(name)
  },
)
