import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { type AgentMemory, BackupDamagedError, createAgentMemory, type Page } from '@evenkeel/agent-memory'
import { type Command, Option } from 'commander'
import { confirm } from '../confirm.js'
import { type ConnectionFlags, withConnectionFlags, withRedis } from '../connection.js'
import type { Context } from '../context.js'
import { CommandError, exitCodes } from '../exit-codes.js'
import { wholeNumber } from '../flags.js'
import { interruptible, interruption } from '../interruptible.js'
import type { Io } from '../io.js'
import { LineOutput } from '../line-output.js'
import { counted, show, table } from '../output.js'

interface Flags extends ConnectionFlags {
  readonly json?: boolean
}

/** The command `memory`: what operators do with conversations. */
export function addMemory(program: Command, context: Context): void {
  const memory = program.command('memory').description('conversations: lists, backup and restore, erasure')
  addOwners(memory, context)
  addThreads(memory, context)
  addExport(memory, context)
  addBackup(memory, context)
  addImport(memory, context)
  addVerify(memory, context)
  addErase(memory, context)
}

function addOwners(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('owners'))
    .description('lists who has conversations; walks all keys, without blocking the server')
    .option('--json', 'one JSON document a line')
    .action((flags: Flags) =>
      withMemory(flags, context.io, async (memory) => {
        for await (const owner of memory.owners())
          context.io.out(flags.json ? JSON.stringify({ owner }) : owner)
      }),
    )
}

interface ThreadsFlags extends Flags {
  readonly owner: string
  readonly limit: number
}

function addThreads(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('threads'))
    .description('lists the conversations of an owner, the newest first')
    .requiredOption('--owner <owner>', 'whose conversations')
    .option('--limit <number>', 'at most this many', wholeNumber(1, 1_000_000), 50)
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  evenkeel memory threads --owner user:42')
    .action((flags: ThreadsFlags) =>
      withMemory(flags, context.io, async (memory) => {
        const threads: { thread: string; changedAt: string }[] = []
        for await (const { id, changedAt } of memory.owner(flags.owner).threads()) {
          if (threads.push({ thread: id, changedAt: new Date(changedAt).toISOString() }) >= flags.limit) break
        }
        show(context.io, flags.json === true, threads, () =>
          table([['thread', 'changed'], ...threads.map(({ thread, changedAt }) => [thread, changedAt])]),
        )
      }),
    )
}

interface ExportFlags extends Flags {
  readonly owner: string
  readonly thread: string
  readonly output?: string
}

function addExport(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('export'))
    .description('prints the messages of a conversation, a JSON document a line')
    .requiredOption('--owner <owner>', 'whose conversation')
    .requiredOption('--thread <thread>', 'which one')
    .option('--output <file>', 'write it there (mode 0600) instead of printing it')
    .addHelpText(
      'after',
      '\nExample:\n  evenkeel memory export --owner user:42 --thread chat-7 --output chat-7.jsonl',
    )
    .action((flags: ExportFlags) =>
      withMemory(flags, context.io, (memory) => exportThread(memory, flags, context.io)),
    )
}

async function exportThread(memory: AgentMemory, flags: ExportFlags, io: Io): Promise<void> {
  const { owner, output } = flags
  const thread = memory.owner(owner).thread(flags.thread)
  const stop = interruption(io, notWhole('the conversation', output))
  const lines = await LineOutput.open(io, output)
  try {
    const work = async (signal: AbortSignal) => {
      for (let after: number | undefined = 0; after !== undefined && !signal.aborted; ) {
        const page: Page = await thread.page({ limit: 500, after })
        if (!page.complete)
          throw new CommandError(exitCodes.failed, 'only a part of the conversation is known here')
        for (const { message } of page.entries) {
          if (signal.aborted) return
          await lines.write(JSON.stringify(message))
        }
        after = page.next
      }
    }
    await stop.during(work)
    await lines.keep()
  } finally {
    await lines.close()
  }
}

interface BackupFlags extends Flags {
  readonly owner?: readonly string[]
  readonly output?: string
}

function addBackup(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('backup'))
    .description('backs up all conversations, or those of some owners, beside writers')
    .option('--owner <owners...>', 'whose (default: everybody’s)')
    .option('--output <file>', 'write it there (mode 0600) instead of printing it')
    .option('--json', 'say what was done as JSON, on standard error')
    .addHelpText(
      'after',
      `
The backup holds conversations: keep it as safe as the Redis.

Examples:
  evenkeel memory backup --output backup.jsonl
  evenkeel memory backup --owner user:42 | gzip > user-42.jsonl.gz`,
    )
    .action((flags: BackupFlags) =>
      withMemory(flags, context.io, (memory) => backup(memory, flags, context.io)),
    )
}

async function backup(memory: AgentMemory, { owner, output, json }: BackupFlags, io: Io): Promise<void> {
  const stop = interruption(io, notWhole('the backup', output))
  const lines = await LineOutput.open(io, output)
  const report = { threads: 0, messages: 0 }
  try {
    const work = async (signal: AbortSignal) => {
      let last: Partial<typeof report> = {}
      for await (const line of memory.backup(owner)) {
        if (signal.aborted) return
        await lines.write(line)
        last = JSON.parse(line) as typeof last
      }
      Object.assign(report, { threads: last.threads ?? 0, messages: last.messages ?? 0 })
    }
    await stop.during(work)
    await lines.keep()
  } finally {
    await lines.close()
  }
  io.err(
    json
      ? JSON.stringify(report)
      : `${counted(report.threads, 'conversation')}, ${counted(report.messages, 'message')}`,
  )
}

/** Describes what an interruption leaves of the output. */
function notWhole(what: string, output: string | undefined): string {
  return output === undefined ? `${what} is not whole` : `${output} was not written`
}

interface ImportFlags extends Flags {
  readonly mode: 'skip' | 'merge' | 'replace'
  readonly yes?: boolean
}

function addImport(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('restore'))
    .alias('import')
    .argument('<file>', 'a backup; - for standard input')
    .description('puts conversations of a backup back; may be repeated')
    .addOption(
      new Option(
        '--mode <mode>',
        'what to do with a conversation that is there: leave it, add what it lacks, or put the backup in its place',
      )
        .choices(['skip', 'merge', 'replace'])
        .default('skip'),
    )
    .option('--yes', 'do not ask before replacing')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  evenkeel memory restore backup.jsonl --url redis://another:6379')
    .action((file: string, flags: ImportFlags) =>
      withMemory(flags, context.io, async (memory) => {
        if (flags.mode === 'replace')
          await confirm(context.io, flags.yes, 'Conversations that are there are replaced by the backup’s')
        const report = await interruptible(
          context.io,
          () => memory.restore(withProgress(linesOf(file), context.io), { mode: flags.mode }),
          'a part of the backup may be restored: run it again',
        )
        context.io.progress(undefined)
        show(context.io, flags.json === true, report, () => [
          `${counted(report.threads, 'conversation')}, ${counted(report.messages, 'message')} restored; ${report.skipped} skipped, ${report.merged} merged, ${counted(report.conflicts, 'message')} left out`,
        ])
      }),
    )
}

function addVerify(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('verify'))
    .argument('<file>', 'a backup; - for standard input')
    .description('checks a backup, and compares it with what Redis holds; exits 2 where they differ')
    .option('--json', 'one JSON document')
    .action((file: string, flags: Flags) =>
      withMemory(flags, context.io, async (memory) => {
        const report = await interruptible(
          context.io,
          () => memory.verify(withProgress(linesOf(file), context.io)),
          'not all was compared',
        )
        context.io.progress(undefined)
        show(context.io, flags.json === true, report, () => [
          `${counted(report.threads, 'conversation')}, ${counted(report.messages, 'message')} checked`,
          ...report.different.map(({ owner, thread }) => `differs: ${owner} ${thread}`),
          ...report.grown.map(({ owner, thread }) => `holds all of it, and more: ${owner} ${thread}`),
        ])
        context.end(report.different.length === 0 ? exitCodes.done : exitCodes.usage)
      }),
    )
}

interface EraseFlags extends Flags {
  readonly owner: string
  readonly yes?: boolean
}

function addErase(parent: Command, context: Context): void {
  withConnectionFlags(parent.command('erase'))
    .description('removes everything of an owner, and checks that it is gone')
    .requiredOption('--owner <owner>', 'whose conversations')
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  evenkeel memory erase --owner user:42 --yes')
    .action((flags: EraseFlags) =>
      withMemory(flags, context.io, async (memory) => {
        await confirm(context.io, flags.yes, `All conversations of ${flags.owner} are removed for good`)
        const receipt = await interruptible(
          context.io,
          () => memory.owner(flags.owner).erase(),
          'some of it may be left: run it again',
        )
        show(context.io, flags.json === true, receipt, () => [
          `${counted(receipt.threads, 'conversation')} removed; ${receipt.verified ? 'checked: nothing is left' : 'something was written meanwhile: run it again'}`,
        ])
        if (!receipt.verified) context.end(exitCodes.failed)
      }),
    )
}

async function withMemory<T>(flags: Flags, io: Io, work: (memory: AgentMemory) => Promise<T>): Promise<T> {
  return withRedis(flags, io, async (redis) => {
    const memory = createAgentMemory({ redis })
    try {
      return await work(memory)
    } catch (error) {
      // A damaged backup has the exit code of errors in a checked file, as with redis-conf check.
      if (error instanceof BackupDamagedError) throw new CommandError(exitCodes.usage, error.message)
      throw error
    } finally {
      await memory.close()
    }
  })
}

function linesOf(file: string): AsyncIterable<string> {
  const input = file === '-' ? process.stdin : createReadStream(file)
  return createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
}

async function* withProgress(lines: AsyncIterable<string>, io: Io): AsyncIterable<string> {
  let count = 0
  try {
    for await (const line of lines) {
      if (++count % 500 === 0) io.progress(`${count} lines`)
      yield line
    }
  } catch (error) {
    throw new CommandError(
      exitCodes.usage,
      `the backup can't be read: ${error instanceof Error ? error.message : error}`,
    )
  }
}
