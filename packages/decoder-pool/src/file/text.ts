/** Text of a file as editors save it: with a byte order mark or without, in UTF-8 or, as PowerShell does, UTF-16. */
export function textOf(bytes: Buffer): string {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe
  const text = isUtf16 ? bytes.toString('utf16le') : bytes.toString('utf8')
  return text.replace(/^\uFEFF/, '')
}
