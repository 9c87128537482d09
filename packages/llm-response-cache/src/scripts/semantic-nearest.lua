-- Finds the live rows nearest to a vector, on a server with vector sets.
--
-- KEYS  as semantic-add.lua
-- ARGV  1 vector, FP32  2 how many
-- Reply {id, score from 0 to 1, sheet, observations, … nearest first}
--- @include "clock"
local most = tonumber(ARGV[2])
-- Searches for more rows than wanted, since some may have expired and not been removed yet.
local found = redis.call('VSIM', KEYS[3], 'FP32', ARGV[1], 'WITHSCORES', 'COUNT', most * 4)
if #found == 0 then return found end
local now = now()
local reply = {}
for index = 1, #found, 2 do
  local id = found[index]
  local ends = redis.call('ZSCORE', KEYS[4], id)
  local sheet = redis.call('HGET', KEYS[1], id)
  if ends and sheet and tonumber(ends) > now then
    local at = #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = id, found[index + 1], sheet
    reply[at + 4] = redis.call('HGET', KEYS[2], id) or ''
    if at + 4 == most * 4 then break end
  end
end
return reply
