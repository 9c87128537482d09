import { createAgentMemory, createSessions } from '@evenkeel/agent-memory'
import { RedisThreadStore } from '@evenkeel/agent-memory/store'
import { testThreadStore } from '@evenkeel/agent-memory/testing'
import { passTime } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { proveRules } from './proof.js'

proveRules('agent-memory', ({ redis }) => {
  testThreadStore('Redis', { create: () => new RedisThreadStore(redis()), pass: passTime })
})
