import { Argument, type Command } from 'commander'
import type { Context } from './context.js'

const shells = ['bash', 'zsh', 'fish'] as const

/** Prints a script that completes commands and flags in a shell. */
export function addCompletion(program: Command, { io }: Context): void {
  program
    .command('completion')
    .description('prints a completion script for a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices([...shells]))
    .addHelpText(
      'after',
      `
Examples:
  evenkeel completion bash > /etc/bash_completion.d/evenkeel
  evenkeel completion zsh > ~/.zfunc/_evenkeel
  evenkeel completion fish > ~/.config/fish/completions/evenkeel.fish`,
    )
    .action((shell: (typeof shells)[number]) => io.out(scripts[shell](wordsOf(program))))
}

/** What may follow each command: its commands and flags, by the words before it. */
type Words = ReadonlyMap<string, readonly string[]>

function wordsOf(command: Command, path: readonly string[] = []): Words {
  const children = command.commands.filter((child) => child.name() !== 'help')
  const flags = command.options.map(({ long, short }) => long ?? short ?? '')
  const own: [string, readonly string[]] = [
    path.join(' '),
    [...children.map((child) => child.name()), ...flags, '--help'],
  ]
  return new Map([own, ...children.flatMap((child) => [...wordsOf(child, [...path, child.name()])])])
}

const scripts: Readonly<Record<(typeof shells)[number], (words: Words) => string>> = {
  bash: (words) => `_evenkeel() {
  local path="" word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases(words, (list) => `COMPREPLY=($(compgen -W "${list}" -- "\${COMP_WORDS[COMP_CWORD]}"))`)}
  esac
}
complete -F _evenkeel evenkeel`,
  zsh: (words) => `#compdef evenkeel
local path="" word
for word in "\${words[@]:1:CURRENT-2}"; do
  case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
done
case "$path" in
${cases(words, (list) => `compadd -- ${list}`)}
esac`,
  fish: (words) =>
    [...words]
      .map(([path, list]) => {
        const condition =
          path === '' ? '__fish_use_subcommand' : `__fish_seen_subcommand_from ${path.split(' ').at(-1)}`
        return `complete -c evenkeel -f -n '${condition}' -a '${list.join(' ')}'`
      })
      .join('\n'),
}

function cases(words: Words, line: (list: string) => string): string {
  return [...words].map(([path, list]) => `    "${path}") ${line(list.join(' '))} ;;`).join('\n')
}
