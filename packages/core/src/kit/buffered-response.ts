import { type ResponseOrigin, withOriginOf } from './watched-body.js'

/** The class of fetch's responses: the base of the global, which servers may replace by a class that extends it. */
function nativeResponse(): typeof Response {
  let found = globalThis.Response
  for (;;) {
    const above: unknown = Object.getPrototypeOf(found)
    // The chain ends with Function.prototype, which is a function in every realm but constructs nothing.
    if (typeof above !== 'function' || above.prototype === undefined) return found
    found = above as typeof Response
  }
}

type BufferedResponseClass = new (bytes: Uint8Array, init: ResponseInit, origin: ResponseOrigin) => object

/** Created with the first answer: reading `Response` makes Node load its fetch, which importing a package must not. */
let known: BufferedResponseClass | undefined

function create(bytes: Uint8Array, init: ResponseInit, origin: ResponseOrigin): Response {
  known ??= defineClass(nativeResponse())
  return new known(bytes, init, origin) as unknown as Response
}

/** The servers of Bun and Deno do not read a response's body through its methods. */
const isNode = typeof process !== 'undefined' && !('bun' in process.versions) && !('deno' in process.versions)

const decoder = new TextDecoder()

type Bytes = Uint8Array<ArrayBuffer>

/**
 * A class of responses whose body is complete. The methods read the bytes directly, because wrapping bytes in a web
 * stream and reading it takes some 30 µs. A response of the native class, with a stream, is created only on demand,
 * because constructing one takes some 10 µs, and each layer of fetches constructs an answer.
 */
function defineClass(Native: typeof Response): BufferedResponseClass {
  // Creates an object with the native prototype but without the native constructor; the class below overrides members.
  const Base = function (this: object) {
    return Object.create(new.target.prototype)
  } as unknown as { new (): object; prototype: object }
  Base.prototype = Native.prototype
  return class BufferedResponse extends Base {
    readonly #bytes: Uint8Array
    readonly #origin: ResponseOrigin
    readonly #status: number
    readonly #statusText: string
    readonly #headers: Headers
    #isUsed = false
    /** The same response with a stream, for what only a stream can do. */
    #streamed: Response | undefined

    constructor(bytes: Uint8Array, init: ResponseInit, origin: ResponseOrigin) {
      super()
      const { status = 200, statusText = '', headers } = init
      if (status < 200 || status > 599)
        throw new RangeError('init["status"] must be in the range of 200 to 599')
      this.#bytes = bytes
      this.#origin = origin
      this.#status = status
      this.#statusText = statusText
      this.#headers = new Headers(headers)
    }

    get status(): number {
      return this.#status
    }

    get statusText(): string {
      return this.#statusText
    }

    get ok(): boolean {
      return this.#status < 300
    }

    get headers(): Headers {
      return this.#headers
    }

    get url(): string {
      return this.#origin.url
    }

    get redirected(): boolean {
      return this.#origin.redirected
    }

    get type(): Response['type'] {
      return this.#origin.type
    }

    get body(): ReadableStream<Bytes> | null {
      return this.#withStream().body
    }

    get bodyUsed(): boolean {
      return this.#streamed?.bodyUsed ?? this.#isUsed
    }

    async text(): Promise<string> {
      return this.#streamed?.text() ?? decoder.decode(this.#take())
    }

    async json(): Promise<unknown> {
      return this.#streamed?.json() ?? JSON.parse(decoder.decode(this.#take()))
    }

    async arrayBuffer(): Promise<ArrayBuffer> {
      return this.#streamed?.arrayBuffer() ?? copyOf(this.#take()).buffer
    }

    // Of Node 22 and later.
    async bytes(): Promise<Bytes> {
      return new Uint8Array(await this.arrayBuffer())
    }

    async blob(): Promise<Blob> {
      return this.#withStream().blob()
    }

    async formData(): Promise<FormData> {
      return this.#withStream().formData()
    }

    clone(): Response {
      const { status, statusText, headers } = this
      if (this.#streamed === undefined && !this.#isUsed) {
        return create(this.#bytes, { status, statusText, headers }, this.#origin)
      }
      return withOriginOf(this.#origin, this.#withStream().clone())
    }

    #take(): Uint8Array {
      if (this.#isUsed) throw new TypeError('Body is unusable: Body has already been read')
      this.#isUsed = true
      return this.#bytes
    }

    #withStream(): Response {
      if (this.#streamed === undefined) {
        const { status, statusText, headers } = this
        this.#streamed = new Native(copyOf(this.#bytes), { status, statusText, headers })
        // A body that was read before is marked as read here too.
        if (this.#isUsed) this.#streamed.arrayBuffer().catch(() => {})
      }
      return this.#streamed
    }
  }
}

/** Several responses share the bytes, and a reader may change what it gets. */
function copyOf(bytes: Uint8Array): Bytes {
  return new Uint8Array(bytes)
}

/**
 * Creates a response whose body is complete, which is read without a stream. Readers get copies, so that nobody can
 * change `bytes`.
 */
export function bufferedResponse(bytes: Uint8Array, init: ResponseInit, origin: ResponseOrigin): Response {
  if (!isNode) return withOriginOf(origin, new Response(copyOf(bytes), init))
  return create(bytes, init, origin)
}
