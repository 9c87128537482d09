/** The text of a file as editors save it: with or without a byte order mark, in UTF-8, or in UTF-16 as PowerShell. */
export function textOf(bytes: Buffer): string {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe
  const text = isUtf16 ? bytes.toString('utf16le') : bytes.toString('utf8')
  return text.replace(/^\uFEFF/, '')
}
