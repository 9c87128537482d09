import type { MarkdownRenderer } from 'vitepress'

/** Makes indented code scrollable by keyboard, which VitePress does for fenced code only. */
export function withReachableCode(md: MarkdownRenderer): void {
  md.renderer.rules.code_block = (tokens, index) =>
    `<pre tabindex="0"><code>${md.utils.escapeHtml(tokens[index]?.content ?? '')}</code></pre>\n`
}
