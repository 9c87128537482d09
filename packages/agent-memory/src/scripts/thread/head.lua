-- The head of a thread: what every change touches, in one binary field, since each field costs a look-up and each
-- number in text costs formatting and parsing. It comes before the scripts that need it; thread.lua describes the
-- other fields.
--
-- _m  eleven doubles, big-endian:
--       version, rises with each change; edited, version of the last change to earlier records
--       newest, seq of the newest record ever; count of present records, their tokens, and the bytes of their
--       bodies; passed, tokens of all records ever appended; turn, number of turns
--       created, changed and ends in ms
--     then texts: the epoch, made with the thread, 36 characters, blank if the thread was deleted
--       pinned, seqs that every window contains, by blanks
--- @include "clock"
--- @include "whole"
local numbers, gone = '>ddddddddddd', string.rep(' ', 36)

-- The head's values, the epoch first, which is empty if there is no thread; nil without a head.
local function headFrom(packed)
  if not packed then return nil end
  local version, edited, newest, count, tokens, bytes, passed, turn, created, changed, ends =
    struct.unpack(numbers, packed)
  local epoch = string.sub(packed, 89, 124)
  return epoch ~= gone and epoch or '', version, edited, newest, count, tokens, bytes, passed, turn, created, changed,
    ends, string.sub(packed, 125)
end

local function packHead(epoch, version, edited, newest, count, tokens, bytes, passed, turn, created, changed, ends, pinned)
  if epoch == '' then epoch = gone end
  return struct.pack(numbers, version, edited, newest, count, tokens, bytes, passed, turn, created, changed, ends)
    .. epoch .. pinned
end

-- How often a thread of this name was deleted, or its owner erased.
local function generationOf(thread, owner)
  return tonumber(redis.call('HGET', thread, '_g') or 0) + tonumber(redis.call('HGET', owner, 'g') or 0)
end

-- The head of a thread for a reader: nil if the owner was erased since the thread was made.
local function liveHead(packed, owner)
  local erasedAt = packed and redis.call('HGET', owner, 'e')
  if erasedAt then
    local epoch, _, _, _, _, _, _, _, _, created = headFrom(packed)
    if epoch ~= '' and created <= tonumber(erasedAt) then return nil end
  end
  return packed
end
