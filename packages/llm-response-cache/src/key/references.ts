import { isRecord, type Json } from '../json.js'
import { records } from './places.js'
import type { Answers } from './rules.js'

export interface References {
  /** Whether the request names, by its id, something that the server keeps. */
  readonly state: boolean
  /** Whether it names a file or an image, by its id or by a URL that the provider reads. */
  readonly files: boolean
}

/** Finds what a request names but does not contain, in the places where its protocol has such names. */
export function referencesOf(asked: Json, answers: Answers): References {
  switch (answers) {
    case 'chat':
      return {
        state: false,
        files: records(asked.messages).some(({ content }) => records(content).some(namesFile)),
      }
    case 'responses': {
      const items = records(asked.input)
      return {
        state: items.some(isReference),
        files: items.some((item) =>
          [...records(item.content), ...records(item.output), item].some(namesFile),
        ),
      }
    }
    case 'messages': {
      const blocks = [asked, ...records(asked.messages)].flatMap(({ content, system }) => [
        ...records(content),
        ...records(system),
      ])
      const inner = blocks.flatMap(({ content }) => records(content))
      const all = [...blocks, ...inner]
      return { state: all.some(({ type }) => type === 'container_upload'), files: all.some(namesFile) }
    }
    case 'gemini': {
      const holders = [...records(asked.contents), asked.systemInstruction, asked.system_instruction].filter(
        isRecord,
      )
      const parts = holders.flatMap((holder) => records(holder.parts))
      return {
        state: false,
        files: parts.some((part) => isRecord(part.fileData) || isRecord(part.file_data)),
      }
    }
    default:
      return { state: false, files: false }
  }
}

/** Types of Responses items that can contain their whole content; all other types count as references. */
const ownItems = new Set([
  ...[
    'message',
    'function_call',
    'function_call_output',
    'custom_tool_call',
    'custom_tool_call_output',
    'reasoning',
  ],
])

/** Whether an item gives only an id in place of its content, or is of an unknown type, which may do so. */
function isReference(item: Json): boolean {
  const type = item.type ?? (typeof item.role === 'string' ? 'message' : undefined)
  if (typeof type !== 'string' || !ownItems.has(type)) return true
  switch (type) {
    case 'message':
      return item.content === undefined
    case 'reasoning':
      return typeof item.id === 'string' && typeof item.encrypted_content !== 'string'
    case 'function_call':
      return item.arguments === undefined
    case 'custom_tool_call':
      return item.input === undefined
    default:
      return item.output === undefined
  }
}

/** Whether a part of a message, in the protocols of OpenAI and Anthropic, names a file by id or URL. */
function namesFile(part: Json): boolean {
  const { file, image_url, input_audio, video_url, audio_url, source } = part
  const ids = [part.file_id, part.file_url, isRecord(file) ? file.file_id : undefined]
  if (ids.some((id) => typeof id === 'string')) return true
  if (isRecord(source) && (source.type === 'url' || source.type === 'file')) return true
  return [image_url, video_url, audio_url, input_audio].some((holder) => {
    const url = isRecord(holder) ? holder.url : holder
    return typeof url === 'string' && !url.startsWith('data:')
  })
}
