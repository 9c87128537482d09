/** How requests become keys, where the defaults don't fit. */
export interface KeyRules {
  /** More fields of a request that change no answer. @default none */
  readonly exclude?: readonly string[] | undefined
  /** Fields of the built-in list that change answers here after all, such as `user`. @default none */
  readonly include?: readonly string[] | undefined
  /** Headers of a request that change answers. @default none, beside the providers' own version headers */
  readonly headers?: readonly string[] | undefined
  /** Tools which the provider runs itself, by the beginning of their type, whose answers may be kept. @default none */
  readonly allowTools?: readonly string[] | undefined
  /** Files named by id never change, so requests with them may be kept. @default false */
  readonly immutableFiles?: boolean | undefined
  /** Keep generated images too. @default false */
  readonly images?: boolean | undefined
  /** Made-up ids count by their order. @default true */
  readonly renameIds?: boolean | undefined
  /** Anything that makes all keys other ones: a version of your prompts. @default none */
  readonly salt?: string | undefined
}

/** Whose form an answer has: what can be turned from a stream into an object, and back. */
export type Wire = 'openai-chat' | 'openai-responses' | 'anthropic-messages'

export interface Endpoint {
  /** The end of the path. */
  readonly path: RegExp
  readonly wire?: Wire | undefined
  /** Fields that change transport, billing or bookkeeping, never the answer. Everything else counts. */
  readonly withoutEffect: readonly string[]
  /** The same, at any depth. */
  readonly withoutEffectWithin?: readonly string[] | undefined
  /** Kept only where the host asks for that. */
  readonly optIn?: 'images' | undefined
}

const transport = ['stream', 'stream_options']
const openAi = [
  ...transport,
  'metadata',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
  'service_tier',
  'store',
  'user',
]
const anthropic = ['stream', 'metadata', 'service_tier']

/** Endpoints whose answer is a function of the request. */
export const endpoints: readonly Endpoint[] = [
  { path: /\/chat\/completions$/, wire: 'openai-chat', withoutEffect: openAi },
  { path: /\/responses$/, wire: 'openai-responses', withoutEffect: openAi },
  // Where the provider's own prompt cache begins changes the bill alone.
  {
    path: /\/messages$/,
    wire: 'anthropic-messages',
    withoutEffect: anthropic,
    withoutEffectWithin: ['cache_control'],
  },
  { path: /\/completions$/, withoutEffect: openAi },
  { path: /\/(?:embeddings|moderations|rerank)$/, withoutEffect: openAi },
  { path: /\/images\/generations$/, withoutEffect: openAi, optIn: 'images' },
  {
    path: /:generateContent$|:streamGenerateContent$|\/api\/(?:chat|generate|embed)$/,
    withoutEffect: transport,
  },
]

/** Fields by which an answer depends on more than the request. */
export const stateful = ['previous_response_id', 'conversation', 'background', 'container', 'mcp_servers']

/** Tools that the provider runs itself, on a world that changes. */
export const providerTools =
  /^(?:web_search|web_fetch|file_search|code_interpreter|code_execution|computer|mcp|image_generation|bash|google_search|url_context)/
