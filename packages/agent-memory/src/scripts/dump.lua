-- What a backup needs of a thread beside its records and state.
--
-- KEYS  1 hash of the thread, as thread.lua tells
-- Reply {} when there is none, {ms until its end, created, last changed, pinned, tokens ever, turns,
--        current summary's number, {number, summary, …}}
local meta = redis.call('HMGET', KEYS[1], '_e', '_c', '_u', '_p', '_q', '_r', '_s')
if not meta[1] then return {} end
local number = string.match(meta[7] or '', '^%d+')
local summaries = {}
for one = tonumber(number or 0), math.max(1, tonumber(number or 0) - 1), -1 do
  local summary = redis.call('HGET', KEYS[1], '^' .. one)
  if summary then
    summaries[#summaries + 1] = one
    summaries[#summaries + 1] = summary
  end
end
return { redis.call('PTTL', KEYS[1]), meta[2], meta[3], meta[4] or '', meta[5], meta[6], tonumber(number or 0),
  summaries }
