import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage({
  index: 'src/index.ts',
  http: 'src/http/index.ts',
  testing: 'src/testing/index.ts',
})
