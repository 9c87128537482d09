import { InvalidOptionError } from '@evenkeel/core'
import { option } from '@evenkeel/core/kit'

type Callable = object & { readonly name: string }

/** What a wrapped function is known by. */
export interface FunctionIdentity {
  readonly name: string
  /** Goes into the keys of its answers. */
  readonly key: string
}

/** Names that minifiers give have up to so many characters. */
const maxMinified = 3

/**
 * The names of the functions that a cache wraps. Two functions must not share one: they would get each other's answers.
 * That goes for the next build of a service too, where a minifier gives the same short name to another function, so a
 * short name counts together with the function's source.
 */
export class FunctionNames {
  readonly #taken = new Map<string, WeakRef<Callable>>()

  /** @throws InvalidOptionError if no name is given, and the function has none, or the same as another one */
  identify(call: Callable, given: string | undefined): FunctionIdentity {
    if (given !== undefined) {
      const name = option.text('name', given, { max: 256 })
      return { name, key: name }
    }
    const { name } = call
    const known = this.#taken.get(name)?.deref()
    if (name === '' || (known !== undefined && known !== call)) {
      const why = name === '' ? 'since the function has none' : 'since another wrapped function has the same'
      throw new InvalidOptionError('name', `a name of its own, ${why}`, name)
    }
    this.#taken.set(name, new WeakRef(call))
    return {
      name,
      key: name.length > maxMinified ? name : `${name} ${Function.prototype.toString.call(call)}`,
    }
  }
}
