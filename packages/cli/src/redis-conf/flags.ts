import { Option } from 'commander'

export function purposeFlag(): Option {
  return new Option('--for <purpose>', 'what evenkeel keeps in this Redis').choices([
    'cache',
    'memory',
    'mixed',
  ])
}
