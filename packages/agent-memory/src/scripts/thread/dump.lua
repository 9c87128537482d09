-- Reads what a backup needs of a thread beside its records and state. After head.lua.
--
-- KEYS  1 hash of the thread, as thread.lua describes   2 hash of the owner
-- Reply {} if there is none, {ms until its end, created, last changed, pinned, tokens ever, turns,
--        current summary's number, {number, summary, …}}
local meta = redis.call('HMGET', KEYS[1], '_m', '_s')
local epoch, _, _, _, _, _, _, passed, turn, created, changed, _, pinned = headFrom(liveHead(meta[1], KEYS[2]))
if not epoch or epoch == '' then return {} end
local number = string.match(meta[2] or '', '^%d+')
local summaries = {}
for one = tonumber(number or 0), math.max(1, tonumber(number or 0) - 1), -1 do
  local summary = redis.call('HGET', KEYS[1], '^' .. one)
  if summary then
    summaries[#summaries + 1] = one
    summaries[#summaries + 1] = summary
  end
end
return { redis.call('PTTL', KEYS[1]), created, changed, pinned, string.format('%.0f', passed), turn,
  tonumber(number or 0), summaries }
