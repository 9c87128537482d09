/** A `Response` whose body has been read: it is given as it is, and a stream of it made only for who asks for one. */
export class WholeResponse extends Response {
  readonly #bytes: Uint8Array<ArrayBuffer>
  #isUsed = false
  #inner: Response | undefined

  constructor(bytes: Uint8Array<ArrayBuffer>, init: ResponseInit) {
    super(null, init)
    this.#bytes = bytes
  }

  override get body(): Response['body'] {
    return this.#asStream().body
  }

  override get bodyUsed(): boolean {
    return this.#isUsed || (this.#inner?.bodyUsed ?? false)
  }

  override async text(): Promise<string> {
    return this.#inner === undefined ? new TextDecoder().decode(this.#take()) : this.#inner.text()
  }

  override async json(): Promise<unknown> {
    return JSON.parse(await this.text())
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    return this.#inner === undefined ? this.#take().buffer : this.#inner.arrayBuffer()
  }

  override async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await this.arrayBuffer())
  }

  override async blob(): Promise<Blob> {
    return new Blob([await this.arrayBuffer()], { type: this.headers.get('content-type') ?? '' })
  }

  override formData(): Promise<FormData> {
    return this.#asStream().formData()
  }

  override clone(): Response {
    if (this.bodyUsed) throw new TypeError('Response.clone: Body has already been consumed.')
    const { status, statusText, headers, url, redirected, type } = this
    const copy = new WholeResponse(this.#bytes.slice(), { status, statusText, headers })
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
