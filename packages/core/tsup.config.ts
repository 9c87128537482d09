import { definePackage } from '../../test/tooling/tsup.js'

export default definePackage()
