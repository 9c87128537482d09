import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { connect } from '@evenkeel/core'
import { flavours, startRedis } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { type AgentMemory, BackupDamagedError, createAgentMemory } from '../src/index.js'
import { threadOf, useRedis, user } from './support.js'

const redis = useRedis()

async function fill(memory: AgentMemory): Promise<void> {
  for (const owner of ['o', 'other {}:']) {
    for (const name of ['t', 'u|*']) {
      const thread = memory.owner(owner).thread(name)
      await thread.append([{ id: 's', role: 'system', content: 'ä\n' }])
      await thread.append(Array.from({ length: 30 }, (_, index) => user(`m${index}`)))
      await thread.append([
        { id: 'c', role: 'assistant', tool_calls: [{ id: 'x |,' }] },
        { id: 'r', role: 'tool', tool_call_id: 'x |,' },
        { id: 'open', role: 'assistant', tool_calls: [{ id: 'y' }] },
      ])
      await thread.remove('m3')
      await thread.edit('m4', { role: 'user', content: 'edited' })
      await thread.state.set('plan', { a: [1] })
      await thread.compact({ summarize: async () => 'so far', keepMessages: 8 })
    }
  }
}

const owners = ['o', 'other {}:', 'nobody']
const linesOf = async (memory: AgentMemory) => {
  const lines: string[] = []
  for await (const line of memory.backup(owners)) lines.push(line)
  return lines
}

describe('a backup', () => {
  it('of every server is restored on every other one and in memory, verified, twice', async () => {
    const servers = await Promise.all(flavours().map((flavour) => startRedis({ flavour })))
    const connections = await Promise.all(servers.map(({ url }) => connect({ url })))
    const memories = [...connections.map((one) => createAgentMemory({ redis: one })), createAgentMemory()]
    for (const from of memories) {
      await fill(from)
      const lines = await linesOf(from)
      expect(await from.verify(lines)).toMatchObject({ threads: 4, different: [] })
      for (const to of memories) {
        for (const owner of owners) await to.owner(owner).erase()
        expect((await to.verify(lines)).different).toHaveLength(4)
        expect(await to.restore(lines)).toMatchObject({ threads: 4, messages: 132, skipped: 0 })
        expect(await to.verify(lines)).toMatchObject({ threads: 4, messages: 132, different: [] })
        expect(await to.restore(lines)).toMatchObject({ threads: 0, skipped: 4 })
        const thread = threadOf(to)
        const { summary, messages } = await thread.window()
        expect([summary?.text, messages[0]?.id, messages.at(-1)?.id]).toEqual(['so far', 's', 'open'])
        // The copy continues as the original would: the call is open, the ids are known, the next seq follows.
        const receipt = await thread.append([{ id: 'late', role: 'tool', tool_call_id: 'y' }, user('m5')])
        expect(receipt.seqs).toEqual([35, 7])
        expect((await thread.window()).messages.at(-1)?.id).toBe('late')
      }
      for (const owner of owners) for (const one of memories) await one.owner(owner).erase()
    }
    for (const memory of memories) memory.close()
    for (const connection of connections) await connection.close()
    for (const server of servers) await server.close()
  })

  it('is restored from a stream, text and bytes in any pieces, and with a byte order mark', async () => {
    const from = createAgentMemory()
    await fill(from)
    const text = (await linesOf(from)).map((line) => `${line.trimEnd()}\n`).join('')
    const bytes = Buffer.from(`\ufeff${text}`)
    const pieces = function* <T>(
      whole: { slice(from: number, to: number): T; length: number },
      size: number,
    ) {
      for (let at = 0; at < whole.length; at += size) yield whole.slice(at, at + size)
    }
    for (const source of [
      text,
      bytes,
      text.replaceAll('\n', '\r\n'),
      text.trimEnd().split('\n'),
      [`\ufeff${text}`],
      Readable.from(pieces(bytes, 7)),
      Readable.from(pieces(text, 1_000)),
      text.split('\n').map((line) => Buffer.from(line)),
    ]) {
      const to = createAgentMemory()
      expect(await to.restore(source)).toMatchObject({ threads: 4, messages: 132 })
      expect(await to.verify(text)).toMatchObject({ threads: 4, different: [] })
    }
    const to = createAgentMemory()
    await expect(to.restore([7] as never)).rejects.toThrow(/^lines: expected lines of text, or a stream/)
    await expect(to.restore(text.slice(0, -20))).rejects.toThrow(BackupDamagedError)
    expect(await to.verify(text)).toMatchObject({ threads: 4, different: { length: 4 } })
  })

  it('merges into what there is, or takes its place, as asked', async () => {
    const { memory } = await redis.instance()
    const thread = threadOf(memory)
    await thread.append([user('a'), user('b')])
    const lines = await linesOf(memory)
    await thread.delete()
    await thread.append([user('b', 'other'), user('c')])
    expect(await memory.restore(lines, { mode: 'merge' })).toMatchObject({ merged: 1, conflicts: 1 })
    const ids = async () => (await thread.window()).messages.map(({ id }) => id)
    expect(await ids()).toEqual(['b', 'c', 'a'])
    expect(await memory.restore(lines, { mode: 'replace' })).toMatchObject({ threads: 1 })
    expect(await ids()).toEqual(['a', 'b'])
    await expect(memory.restore(lines, { mode: 'other' as never })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  })

  it.each(['redis', 'memory'])('is found whole by a check after merging, in %s', async (where) => {
    const memory = where === 'redis' ? (await redis.instance()).memory : createAgentMemory()
    const thread = threadOf(memory)
    const call = { id: 'call-1', type: 'function', function: { name: 'look', arguments: '{}' } }
    await thread.append([
      user('a'),
      { id: 'b', role: 'assistant', content: null, tool_calls: [call] },
      { id: 'r', role: 'tool', tool_call_id: 'call-1', content: 'found' },
    ])
    const lines = await linesOf(memory)
    const id = { owner: thread.owner, thread: thread.id }
    await thread.delete()
    await thread.append([user('c')])
    expect(await memory.verify(lines)).toMatchObject({ different: [id], grown: [] })
    expect(await memory.restore(lines, { mode: 'merge' })).toMatchObject({ merged: 1, conflicts: 0 })
    expect(await memory.verify(lines)).toMatchObject({ different: [], grown: [id] })
    // Merging again changes nothing, and a message appended since counts as growth, not as a difference.
    await memory.restore(lines, { mode: 'merge' })
    await thread.append([user('d')])
    expect(await memory.verify(lines)).toMatchObject({ different: [], grown: [id] })
    // An edit and a removal are differences.
    await thread.edit('a', user('a', 'altered'))
    expect(await memory.verify(lines)).toMatchObject({ different: [id], grown: [] })
    await memory.restore(lines, { mode: 'replace' })
    expect(await memory.verify(lines)).toMatchObject({ different: [], grown: [] })
    await thread.append([user('e')])
    await thread.remove('r')
    expect(await memory.verify(lines)).toMatchObject({ different: [id], grown: [] })
  })

  it('that is cut or altered is refused, and nothing of it restored', async () => {
    const { memory } = await redis.instance()
    await threadOf(memory).append([user('a'), user('b'), user('c')])
    const lines = await linesOf(memory)
    await threadOf(memory).delete()
    const damaged: string[][] = [
      [],
      lines.slice(0, -1),
      lines.slice(1),
      lines.filter((_, index) => index !== 3),
      [...lines, lines[2] ?? ''],
      lines.map((line, index) => (index === 3 ? line.slice(0, 40) : line)),
      lines.map((line) => line.replace('message b', 'message x')),
      ['{"kind":"header","format":"other","version":9}', ...lines.slice(1)],
    ]
    for (const one of damaged) {
      await expect(memory.restore(one)).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' })
      await expect(memory.verify(one)).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' })
    }
    expect((await threadOf(memory).window()).count).toBe(0)
  })
})

it('a backup whose checksum fits and whose fields do not is refused, and no script loops over them', async () => {
  const { memory } = await redis.instance()
  const source = createAgentMemory()
  await source.owner('o').thread('t').append(user('a'))
  const lines: string[] = []
  for await (const line of source.backup(['o'])) lines.push(line)
  const withField = (kind: string, change: (line: Record<string, Record<string, unknown>>) => void) => {
    const changed = lines.slice(0, -1).map((line) => {
      const parsed = JSON.parse(line)
      if (parsed.kind === kind) change(parsed)
      return `${JSON.stringify(parsed)}\n`
    })
    const sha256 = createHash('sha256').update(changed.join('')).digest('hex')
    return [...changed, JSON.stringify({ ...JSON.parse(lines.at(-1) ?? ''), sha256 })]
  }
  const head = (field: string, value: unknown) =>
    withField('thread', (line) => Object.assign(line.head ?? {}, { [field]: value }))
  const record = (field: string, value: unknown) =>
    withField('message', (line) => Object.assign(line.record ?? {}, { [field]: value }))
  const bad = [
    head('newest', 1e9),
    head('newest', 1e15),
    head('pinned', [-1]),
    head('ttlMs', 'long'),
    head('state', {}),
    record('role', 'user|x\n'),
    record('body', 'no JSON'),
    record('seq', 0),
    record('tokens', -1),
    withField('thread', (line) => Object.assign(line.id ?? {}, { owner: '' })),
  ]
  for (const backup of bad) {
    await expect(memory.restore(backup)).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' })
  }
  expect(await memory.restore(head('turns', 1))).toMatchObject({ threads: 1 })
})

describe('an erasure', () => {
  it('leaves nothing of an owner but the note that it was, says what went, and holds against late writes', async () => {
    const { memory } = await redis.instance()
    const away = await redis.instance()
    await fill(memory)
    await memory.owner('o').thread('deleted').append(user('x'))
    await memory.owner('o').thread('deleted').delete()
    await away.memory.owner('o').thread('t').window()
    await away.cutOff()
    const late = await away.memory.owner('o').thread('t').append(user('late'))
    const receipt = await memory.owner('o').erase()
    expect(receipt).toMatchObject({ owner: 'o', threads: 2, messages: 66, verified: true })
    await away.back()
    expect(await late.stored).toMatchObject({ status: 'deleted' })
    const keys = ((await redis.server.command('KEYS', '*')) as string[]).filter((key) => key.includes('{o}'))
    expect(keys).toEqual(['evenkeel:agent-memory:{o}:o'])
    expect(await redis.server.command('HGETALL', keys[0] ?? '')).toEqual(['g', '1000000'])
    expect((await memory.owner('other {}:').listThreads()).threads).toHaveLength(2)
    expect(await memory.owner('o').thread('t').append(user('new'))).toMatchObject({
      status: 'stored',
      seqs: [1],
    })
    expect(await memory.owner('o').erase()).toMatchObject({ threads: 1, messages: 1 })
  })
})

it('a head that somebody planted in Redis makes no script loop: reads, forks and writes answer, and so does Redis', async () => {
  const { memory } = await redis.instance()
  const thread = threadOf(memory)
  await thread.append([user('a'), user('b')])
  const key = 'evenkeel:agent-memory:{o}:t:t'
  const head = (await redis.server.command('HGET', key, '_m')) as string
  expect(head.length).toBeGreaterThan(96)
  for (const newest of [1e9, 1e15]) {
    // The newest seq is the third of the doubles that the head begins with.
    const double = Buffer.alloc(8)
    double.writeDoubleBE(newest)
    const lua = `local head = redis.call('HGET', KEYS[1], '_m')
      return redis.call('HSET', KEYS[1], '_m', string.sub(head, 1, 16) .. ARGV[1] .. string.sub(head, 25))`
    const bytes = [...double].map((byte) => `\\${byte}`).join('')
    await redis.server.command('EVAL', lua.replace('ARGV[1]', `'${bytes}'`), '1', key)
    const other = createAgentMemory({ redis: (await redis.instance()).redis })
    const own = threadOf(other)
    const at = performance.now()
    await own.window({ maxMessages: 1e9 }).catch(() => {})
    await own.page({ before: newest, limit: 1_000 }).catch(() => {})
    await own.fork({ id: `copy ${newest}` }).catch(() => {})
    await own.fork({ id: `part ${newest}`, upTo: 1 }).catch(() => {})
    await own.append(user(`c${newest}`)).catch(() => {})
    await own.remove('a').catch(() => {})
    // After a script of five seconds Redis would answer BUSY to everybody.
    expect(await redis.server.command('PING')).toBe('PONG')
    expect(other.state).toBe('primary')
    expect(performance.now() - at).toBeLessThan(15_000)
    await other.close()
  }
})
