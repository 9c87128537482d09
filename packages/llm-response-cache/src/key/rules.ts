/** Rules that turn requests into keys, in addition to the defaults. */
export interface KeyRules {
  /** Further fields of a request that do not change the answer. @default none */
  readonly exclude?: readonly string[] | undefined
  /** Fields of the built-in list that do change your answers, such as `user`. @default none */
  readonly include?: readonly string[] | undefined
  /**
   * Further fields that leave the answer a function of the request alone. A request with a field that is neither here
   * nor on the built-in list bypasses the cache, since it may make the provider look something up. @default none
   */
  readonly allowFields?: readonly string[] | undefined
  /** Further request headers that change the answer, beside API versions and what gateways route by. @default none */
  readonly headers?: readonly string[] | undefined
  /** Tools run by the provider whose answers may be stored, by the beginning of their type. @default none */
  readonly allowTools?: readonly string[] | undefined
  /** Models that look things up, such as `sonar`, but whose answers may be stored; full names. @default none */
  readonly allowModels?: readonly string[] | undefined
  /** Stores answers about files and images that requests name by id or URL, since yours never change. @default false */
  readonly immutableFiles?: boolean | undefined
  /** Stores generated images too. @default false */
  readonly images?: boolean | undefined
  /** Replaces generated ids by their order, so that they don't change the key. @default true */
  readonly renameIds?: boolean | undefined
  /** Any text that changes all keys, such as a version of your prompts. @default none */
  readonly salt?: string | undefined
}

export const keyRuleNames: Readonly<Record<keyof KeyRules, true>> = {
  exclude: true,
  include: true,
  allowFields: true,
  headers: true,
  allowTools: true,
  allowModels: true,
  immutableFiles: true,
  images: true,
  renameIds: true,
  salt: true,
}

/** Format of an answer that can be converted between a stream and an object. */
export type Wire = 'openai-chat' | 'openai-responses' | 'openai-completions' | 'anthropic-messages'

/** How a complete answer is recognised. */
export type Answers =
  | 'chat'
  | 'completions'
  | 'responses'
  | 'messages'
  | 'embeddings'
  | 'moderations'
  | 'ranking'
  | 'images'
  | 'gemini'
  | 'ollama'
  | 'ollama-embeddings'

export interface Endpoint {
  /** Pattern of the whole path. */
  readonly path: RegExp
  readonly answers: Answers
  readonly wire?: Wire | undefined
  /** A body with one of these members is of this protocol. */
  readonly requires: readonly string[]
  /** Fields that change transport, billing or bookkeeping, but never the answer. */
  readonly withoutEffect: readonly string[]
  /** Fields that are part of the key, and leave the answer a function of the request alone. */
  readonly fields: ReadonlySet<string>
  /** Fields that make an answer depend on more than the request, unless they are empty. */
  readonly stateful: ReadonlySet<string>
  /** Stored only if the option says so. */
  readonly optIn?: 'images' | undefined
}

const list = (text: string): string[] => text.trim().split(/\s+/)

const transport = ['stream', 'stream_options']
const bookkeeping = list(
  'metadata user safety_identifier service_tier prompt_cache_key prompt_cache_retention request_id cache_salt priority',
)

/** Fields of OpenAI and of compatible servers: vLLM, SGLang, llama.cpp, TGI, Mistral, Groq, OpenRouter … */
const sampling = list(`
  temperature top_p top_k top_a min_p typical_p n seed random_seed stop stop_token_ids max_tokens min_tokens
  max_completion_tokens frequency_penalty presence_penalty repetition_penalty length_penalty repeat_penalty
  repeat_last_n logit_bias logprobs top_logprobs prompt_logprobs best_of use_beam_search early_stopping ignore_eos
  skip_special_tokens spaces_between_special_tokens include_stop_str_in_output truncate_prompt_tokens bad_words
  allowed_token_ids add_special_tokens mirostat mirostat_tau mirostat_eta mirostat_lr mirostat_ent
  dynatemp_range dynatemp_exponent xtc_probability xtc_threshold dry_multiplier dry_base dry_allowed_length
  guided_json guided_regex guided_choice guided_grammar guided_decoding_backend guided_whitespace_pattern
  structured_outputs response_format format json_schema regex ebnf grammar cache_prompt samplers
`)

const chatFields = [
  ...sampling,
  ...list(`
    model messages audio modalities prediction reasoning_effort reasoning verbosity function_call functions
    tool_choice tools parallel_tool_calls store thinking enable_thinking thinking_budget reasoning_format
    reasoning_split include_reasoning safe_prompt prompt_mode chat_template chat_template_kwargs
    add_generation_prompt continue_final_message documents models route provider usage
  `),
]

const chatState = new Set(list('conversation previous_response_id background container mcp_servers'))

const endpointOf = (
  endpoint: Omit<Endpoint, 'fields' | 'stateful'> & { fields: string[]; stateful?: Set<string> },
) => ({
  stateful: new Set<string>(),
  ...endpoint,
  fields: new Set(endpoint.fields),
})

/** The segment of the path before an endpoint's name: a version, or what some servers have in its place. */
const base = String.raw`(?:^|/(?:v\d+(?:alpha|beta)?\d*|openai|inference|api|codex|deployments/[^/]+))`
const at = (name: string) => new RegExp(`${base}/${name}$`)

/** Endpoints whose answer is a function of the request, each with what is known of its requests. */
export const endpoints: readonly Endpoint[] = [
  endpointOf({
    path: /\/chat\/completions$/,
    answers: 'chat',
    wire: 'openai-chat',
    requires: ['messages'],
    withoutEffect: [...transport, ...bookkeeping],
    fields: chatFields,
    stateful: chatState,
  }),
  endpointOf({
    path: at('responses'),
    answers: 'responses',
    wire: 'openai-responses',
    requires: ['input'],
    withoutEffect: [...transport, ...bookkeeping],
    fields: [
      ...list(
        'model input instructions include max_output_tokens max_tool_calls parallel_tool_calls reasoning',
      ),
      ...list('store temperature text tool_choice tools top_logprobs top_p truncation verbosity seed stop'),
    ],
    stateful: new Set(list('previous_response_id conversation background prompt container mcp_servers')),
  }),
  endpointOf({
    path: /(?:^|\/)v1\/messages$/,
    answers: 'messages',
    wire: 'anthropic-messages',
    requires: ['messages'],
    withoutEffect: ['stream', 'metadata', 'service_tier'],
    fields: [
      ...list(
        'model messages system max_tokens stop_sequences temperature top_k top_p tools tool_choice thinking',
      ),
      ...list(
        'output_config output_format cache_control inference_geo speed anthropic_version anthropic_beta',
      ),
    ],
    stateful: new Set(list('container mcp_servers context_management')),
  }),
  endpointOf({
    path: at('completions'),
    answers: 'completions',
    wire: 'openai-completions',
    requires: ['prompt'],
    withoutEffect: [...transport, ...bookkeeping],
    fields: [...sampling, ...list('model prompt suffix echo store')],
  }),
  endpointOf({
    path: at('embeddings'),
    answers: 'embeddings',
    requires: ['input'],
    withoutEffect: [...transport, ...bookkeeping],
    fields: [
      ...list('model input dimensions encoding_format input_type truncate truncation task embedding_types'),
      ...list(
        'output_dimension output_dtype normalized normalize late_chunking truncate_prompt_tokens instruction',
      ),
    ],
  }),
  endpointOf({
    path: at('moderations'),
    answers: 'moderations',
    requires: ['input'],
    withoutEffect: [...transport, ...bookkeeping],
    fields: ['model', 'input'],
  }),
  endpointOf({
    path: at('rerank'),
    answers: 'ranking',
    requires: ['documents'],
    withoutEffect: bookkeeping,
    fields: [
      ...list(
        'model query documents top_n top_k return_documents max_chunks_per_doc max_tokens_per_doc rank_fields',
      ),
      ...list('truncation truncate instruction'),
    ],
  }),
  endpointOf({
    path: at('images/generations'),
    answers: 'images',
    requires: ['prompt'],
    optIn: 'images',
    withoutEffect: [...transport, ...bookkeeping],
    fields: [
      ...list(
        'model prompt n size quality style response_format background moderation output_format seed steps',
      ),
      ...list(
        'output_compression partial_images aspect_ratio negative_prompt guidance_scale num_inference_steps',
      ),
    ],
  }),
  endpointOf({
    path: /\/(?:models|tunedModels|endpoints)\/[^/:]+:(?:generateContent|streamGenerateContent)$/,
    answers: 'gemini',
    requires: ['contents'],
    withoutEffect: ['labels'],
    fields: [
      ...list('model contents systemInstruction system_instruction generationConfig generation_config'),
      ...list('safetySettings safety_settings tools toolConfig tool_config'),
    ],
    stateful: new Set(list('cachedContent cached_content')),
  }),
  endpointOf({
    path: /(?:^|\/)api\/(?:chat|generate)$/,
    answers: 'ollama',
    requires: ['messages', 'prompt'],
    withoutEffect: ['stream', 'keep_alive'],
    fields: [
      ...list('model messages prompt suffix images system template raw format options tools think context'),
      ...list('logprobs top_logprobs'),
    ],
  }),
  endpointOf({
    path: /(?:^|\/)api\/(?:embed|embeddings)$/,
    answers: 'ollama-embeddings',
    requires: ['input', 'prompt'],
    withoutEffect: ['keep_alive'],
    fields: list('model input prompt truncate dimensions options'),
  }),
]

/** Types of tools that the caller runs: the provider only names a call, so its answer needs the request alone. */
export const hostTools = new Set(['function', 'custom'])

/**
 * Models that look things up by themselves, as far as a separate word in their names shows it; OpenRouter's names have
 * it after a colon. Presets count too, since the server can change them.
 */
export const searchingModels =
  /(?:^|[/:_.-])(?:search|online|sonar|deep-?research|research|compound|browse|browsing|web|grounded|agent)(?:$|[/:_.-])|^@|@preset/i

/** Hosts all of whose models look things up. */
export const searchingHosts = /(?:^|\.)perplexity\.ai$/

/** Headers that change the provider's behaviour, or by which a gateway chooses a provider. */
export const countedHeaders =
  /^(?:anthropic-version|anthropic-beta|openai-beta|helicone-(?:target|model|fallback|moderation|llm-security|prompt)\S*|x-portkey-(?!trace|metadata|api-key|cache|request|span|debug)\S*|cf-aig-(?!authorization|cache|metadata|collect|event|log|skip)\S*|x-litellm-(?!api-key|call-id|trace|tags|spend)\S*|x-(?:\S*-)?(?:model|provider|target|route|routing|router|deployment|upstream|backend|engine|variant|region|config|virtual-key)(?:-\S*)?)$/

/** Query parameters that are credentials. */
export const credentialParams = new Set([
  'key',
  'api_key',
  'api-key',
  'apikey',
  'access_token',
  'token',
  'subscription-key',
])
