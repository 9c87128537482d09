import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({ index: 'src/index.ts', bin: 'src/bin.ts' })
