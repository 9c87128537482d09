/** What a hook on SvelteKit uses: SvelteKit's own declarations need its compiler and another Node. */
declare module '@sveltejs/kit' {
  export interface RequestEvent {
    readonly request: Request
    getClientAddress(): string
  }
  export type Handle = (input: {
    readonly event: RequestEvent
    resolve(event: RequestEvent): Response | Promise<Response>
  }) => Response | Promise<Response>
}
