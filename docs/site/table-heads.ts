import type { MarkdownRenderer } from 'vitepress'

/** Turns an empty table head into a plain cell: screen readers would announce its column without a name. */
export function withoutEmptyHeads(md: MarkdownRenderer): void {
  md.core.ruler.push('empty-heads', ({ tokens }) => {
    for (const [index, token] of tokens.entries()) {
      const [words, end] = [tokens[index + 1], tokens[index + 2]]
      if (token.type !== 'th_open' || words?.content !== '' || end?.type !== 'th_close') continue
      token.tag = 'td'
      end.tag = 'td'
    }
  })
}
