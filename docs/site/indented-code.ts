import type { MarkdownRenderer } from 'vitepress'

/** Indented code can be scrolled by key, as fenced code can: VitePress sees to the latter only. */
export function withReachableCode(md: MarkdownRenderer): void {
  md.renderer.rules.code_block = (tokens, index) =>
    `<pre tabindex="0"><code>${md.utils.escapeHtml(tokens[index]?.content ?? '')}</code></pre>\n`
}
