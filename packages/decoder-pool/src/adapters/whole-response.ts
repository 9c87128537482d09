/** What the class below adds nothing to. The types of `Response` have the others as members of each instance. */
type Head = Pick<Response, 'status' | 'statusText' | 'headers' | 'url' | 'redirected' | 'type'>
type WholeResponseClass = new (bytes: Uint8Array<ArrayBuffer>, init: ResponseInit) => Head

/** Made with the first answer: to look at `Response` makes Node load its fetch, which importing a package must not. */
let known: WholeResponseClass | undefined

/** A `Response` of these bytes. */
export function wholeResponse(bytes: Uint8Array<ArrayBuffer>, init: ResponseInit): Response {
  known ??= defineClass()
  return new known(bytes, init) as unknown as Response
}

/** Of a `Response` whose body has been read: it is given as it is, and a stream of it made only for who asks for one. */
function defineClass(): WholeResponseClass {
  const ResponseHead = Response as unknown as new (body: null, init: ResponseInit) => Head
  return class WholeResponse extends ResponseHead {
    readonly #bytes: Uint8Array<ArrayBuffer>
    #isUsed = false
    #inner: Response | undefined

    constructor(bytes: Uint8Array<ArrayBuffer>, init: ResponseInit) {
      super(null, init)
      this.#bytes = bytes
    }

    get body(): Response['body'] {
      return this.#asStream().body
    }

    get bodyUsed(): boolean {
      return this.#isUsed || (this.#inner?.bodyUsed ?? false)
    }

    async text(): Promise<string> {
      return this.#inner === undefined ? new TextDecoder().decode(this.#take()) : this.#inner.text()
    }

    async json(): Promise<unknown> {
      return JSON.parse(await this.text())
    }

    async arrayBuffer(): Promise<ArrayBuffer> {
      return this.#inner === undefined ? this.#take().buffer : this.#inner.arrayBuffer()
    }

    async bytes(): Promise<Uint8Array<ArrayBuffer>> {
      return new Uint8Array(await this.arrayBuffer())
    }

    async blob(): Promise<Blob> {
      return new Blob([await this.arrayBuffer()], { type: this.headers.get('content-type') ?? '' })
    }

    formData(): Promise<FormData> {
      return this.#asStream().formData()
    }

    clone(): Response {
      if (this.bodyUsed) throw new TypeError('Response.clone: Body has already been consumed.')
      const { status, statusText, headers, url, redirected, type } = this
      const copy = wholeResponse(this.#bytes.slice(), { status, statusText, headers })
      return Object.defineProperties(copy, {
        url: { value: url },
        redirected: { value: redirected },
        type: { value: type },
      })
    }

    #take(): Uint8Array<ArrayBuffer> {
      if (this.#isUsed) throw new TypeError('Body is unusable: Body has already been read')
      this.#isUsed = true
      return this.#bytes
    }

    #asStream(): Response {
      this.#inner ??= new Response(this.#isUsed ? null : this.#bytes, { headers: this.headers })
      return this.#inner
    }
  }
}
