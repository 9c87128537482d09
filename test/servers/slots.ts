/** The cluster slot of a key: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16,384. */
export function slotOf(key: string): number {
  const bytes = Buffer.from(hashed(key))
  let crc = 0
  for (const byte of bytes) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff
  }
  return crc % 16_384
}

/** The text between the first `{` and the next `}`, or the whole key if that is empty. */
function hashed(key: string): string {
  const open = key.indexOf('{')
  const close = key.indexOf('}', open + 1)
  return open === -1 || close <= open + 1 ? key : key.slice(open + 1, close)
}
