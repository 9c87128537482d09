/** A server's answer: a string is sent as it is, any other body as JSON. */
export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly type?: string
}

/** `'loading'`: it listens, but its model is not loaded yet. `'dead'`: it listens, but its engine has crashed. */
export type EngineState = 'ready' | 'loading' | 'dead'

/** How an engine answers requests that all engines know, by its documentation and sources. */
export interface EngineShape {
  readonly name: string
  /** Its health paths, with their answers in a state. */
  health(state: EngineState): Readonly<Record<string, Answer>>
  /** The answer to all other requests while it is not ready; absent if it answers them as usual. */
  readonly whileLoading?: Answer
  readonly notFound: Answer
  readonly models: Answer
  readonly unknownModel: Answer
  /** It has too much to do. */
  readonly overloaded: Answer
  /** It failed while it generated. */
  readonly failed: Answer
  /** How a stream ends that fails after the first token. */
  readonly streamFailure: string
}

export const model = 'org/model'
const created = 1_764_000_000
const fastApiNotFound: Answer = { status: 404, body: { detail: 'Not Found' } }
const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`

const permission = {
  id: 'modelperm-1',
  object: 'model_permission',
  created,
  organization: '*',
  group: null,
  allow_create_engine: false,
  allow_sampling: true,
  allow_view: true,
  is_blocking: false,
}

/** FastAPI; `/health` has no body, and 503 once the engine has died. */
const vllm: EngineShape = {
  name: 'vLLM',
  health: (state) => ({ '/health': { status: state === 'ready' ? 200 : 503 } }),
  notFound: fastApiNotFound,
  models: {
    status: 200,
    body: {
      object: 'list',
      data: [
        {
          id: model,
          object: 'model',
          created,
          owned_by: 'vllm',
          root: model,
          parent: null,
          max_model_len: 8_192,
          permission: [permission],
        },
        // An adapter is a model whose parent is the one that it adapts.
        {
          id: 'sql-lora',
          object: 'model',
          created,
          owned_by: 'vllm',
          root: '/adapters/sql',
          parent: model,
          max_model_len: null,
          permission: [permission],
        },
      ],
    },
  },
  unknownModel: {
    status: 404,
    body: {
      error: {
        message: 'The model `other` does not exist.',
        type: 'NotFoundError',
        param: 'model',
        code: 404,
      },
    },
  },
  overloaded: {
    status: 503,
    body: { error: { message: 'Too many requests', type: 'Service Unavailable', param: null, code: 503 } },
  },
  failed: {
    status: 500,
    body: { error: { message: 'EngineCore died', type: 'InternalServerError', param: null, code: 500 } },
  },
  streamFailure:
    event({ error: { message: 'EngineCore died', type: 'InternalServerError', param: null, code: 500 } }) +
    'data: [DONE]\n\n',
}

/** Errors are a text and an `error_type`; a failure during generation is a 424. */
const tgi: EngineShape = {
  name: 'TGI',
  health: (state) => ({
    '/health':
      state === 'ready'
        ? { status: 200 }
        : { status: 503, body: { error: 'unhealthy', error_type: 'healthcheck' } },
    '/': { status: 405 },
  }),
  notFound: { status: 404 },
  models: {
    status: 200,
    body: { object: 'list', data: [{ id: model, object: 'model', created: 0, owned_by: model }] },
  },
  unknownModel: { status: 404, body: { error: 'unknown model', error_type: 'validation' } },
  overloaded: { status: 429, body: { error: 'Model is overloaded', error_type: 'overloaded' } },
  failed: {
    status: 424,
    body: { error: 'Request failed during generation: CUDA out of memory', error_type: 'generation' },
  },
  streamFailure: event({
    error: 'Request failed during generation: CUDA out of memory',
    error_type: 'generation',
  }),
}

/** Errors are flat, `object: 'error'`. */
const sglang: EngineShape = {
  name: 'SGLang',
  health: (state) => ({
    '/health': { status: state === 'ready' ? 200 : 503 },
    '/health_generate': { status: state === 'ready' ? 200 : 503 },
  }),
  notFound: fastApiNotFound,
  models: {
    status: 200,
    body: {
      object: 'list',
      data: [
        {
          id: model,
          object: 'model',
          created,
          owned_by: 'sglang',
          root: model,
          parent: null,
          max_model_len: 8_192,
        },
      ],
    },
  },
  unknownModel: {
    status: 404,
    body: { object: 'error', message: 'model not found', type: 'NotFoundError', param: null, code: 404 },
  },
  overloaded: {
    status: 503,
    body: {
      object: 'error',
      message: 'The request queue is full.',
      type: 'SERVICE_UNAVAILABLE',
      param: null,
      code: 503,
    },
  },
  failed: {
    status: 500,
    body: { object: 'error', message: 'scheduler died', type: 'InternalServerError', param: null, code: 500 },
  },
  streamFailure: `${event({
    error: {
      object: 'error',
      message: 'scheduler died',
      type: 'InternalServerError',
      param: null,
      code: 500,
    },
  })}data: [DONE]\n\n`,
}

const loadingModel: Answer = {
  status: 503,
  body: { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } },
}

/** While a model loads everything is answered with 503. */
const llamaCpp: EngineShape = {
  name: 'llama.cpp',
  health: (state) => ({
    '/health': state === 'ready' ? { status: 200, body: { status: 'ok' } } : loadingModel,
    '/v1/health': state === 'ready' ? { status: 200, body: { status: 'ok' } } : loadingModel,
  }),
  whileLoading: loadingModel,
  notFound: {
    status: 404,
    body: { error: { code: 404, message: 'File Not Found', type: 'not_found_error' } },
  },
  models: {
    status: 200,
    body: {
      object: 'list',
      data: [
        {
          id: model,
          object: 'model',
          created,
          owned_by: 'llamacpp',
          meta: { vocab_type: 2, n_vocab: 128_256, n_ctx_train: 131_072, n_embd: 4_096 },
        },
      ],
    },
  },
  unknownModel: {
    status: 404,
    body: { error: { code: 404, message: 'model not found', type: 'not_found_error' } },
  },
  overloaded: {
    status: 503,
    body: { error: { code: 503, message: 'no slot available', type: 'unavailable_error' } },
  },
  failed: {
    status: 500,
    body: { error: { code: 500, message: 'Compute error.', type: 'server_error' } },
  },
  streamFailure: event({ error: { code: 500, message: 'Compute error.', type: 'server_error' } }),
}

/** It has no `/health`: `/` says that it runs, and `/api/version` which version. */
const ollama: EngineShape = {
  name: 'Ollama',
  health: (state) =>
    state === 'dead'
      ? { '/': { status: 502 }, '/api/version': { status: 502 } }
      : {
          '/': { status: 200, body: 'Ollama is running', type: 'text/plain; charset=utf-8' },
          '/api/version': { status: 200, body: { version: '0.12.6' } },
        },
  notFound: { status: 404, body: '404 page not found', type: 'text/plain' },
  models: {
    status: 200,
    body: { object: 'list', data: [{ id: model, object: 'model', created, owned_by: 'org' }] },
  },
  unknownModel: {
    status: 404,
    body: {
      error: {
        message: 'model "other" not found, try pulling it first',
        type: 'not_found_error',
        param: null,
        code: null,
      },
    },
  },
  overloaded: {
    status: 503,
    body: {
      error: {
        message: 'server busy, please try again.  maximum pending requests exceeded',
        type: 'api_error',
        param: null,
        code: null,
      },
    },
  },
  failed: {
    status: 500,
    body: {
      error: {
        message: 'llama runner process has terminated: exit status 2',
        type: 'api_error',
        param: null,
        code: null,
      },
    },
  },
  streamFailure: event({ error: 'an error was encountered while running the model: unexpected EOF' }),
}

export const shapes: readonly EngineShape[] = [vllm, tgi, sglang, llamaCpp, ollama]
