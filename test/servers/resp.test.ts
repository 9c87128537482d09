import { describe, expect, it } from 'vitest'
import { FrameReader } from './resp.js'

describe('frames', () => {
  it('are the same wherever the stream is cut', () => {
    const wire = Buffer.from('*3\r\n$1\r\na\r\n*1\r\n:7\r\n$-1\r\n+OK\r\n')
    const values = [['a', [7], null], 'OK']
    for (let cut = 0; cut <= wire.length; cut++) {
      const reader = new FrameReader((bytes) => bytes.toString())
      const frames = [...reader.push(wire.subarray(0, cut)), ...reader.push(wire.subarray(cut))]
      expect(frames.map(({ value }) => value)).toEqual(values)
    }
  })
})
