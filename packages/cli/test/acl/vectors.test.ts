import { testSemanticIndex } from '@evenkeel/llm-response-cache/testing'
import { flavours, passTime } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { VectorSetIndex } from '../../../llm-response-cache/src/semantic/index/redis.js'
import { permissionsOf } from '../../src/redis-conf/acl.js'
import { proveRules } from './proof.js'

describe('vectors', () => {
  it('adds to a package what servers without vector sets do not know', () => {
    expect(permissionsOf('vectors').needed).toEqual(expect.arrayContaining(['vadd', 'vrem', 'vsim']))
    for (const name of ['llm-response-cache', 'agent-memory'] as const)
      expect(permissionsOf(name).needed.filter((command) => /^v(add|rem|sim)$/.test(command))).toEqual([])
  })

  for (const flavour of flavours().filter(({ vectorSets }) => vectorSets)) {
    proveRules(
      'vectors',
      ({ redis }) => {
        testSemanticIndex('a vector set', { create: () => new VectorSetIndex(redis()), pass: passTime })
      },
      { flavour, beside: ['llm-response-cache'] },
    )
  }
})
