#!/usr/bin/env node
// A file of the repository, so that installing it can link the command before the first build.
import '../dist/bin.js'
