-- Reads values of a thread's state. After head.lua.
--
-- KEYS  1 hash of the thread, as thread.lua describes   2 hash of the owner
-- ARGV  keys; none for all
-- Reply {key, 'version JSON', …}
if not liveHead(redis.call('HGET', KEYS[1], '_m'), KEYS[2]) then return {} end
local keys = ARGV
if #keys == 0 then
  for key in string.gmatch(redis.call('HGET', KEYS[1], '_k') or '', '%S+') do keys[#keys + 1] = key end
end
local values = {}
for _, key in ipairs(keys) do
  local value = redis.call('HGET', KEYS[1], '$' .. key)
  if value then
    values[#values + 1] = key
    values[#values + 1] = value
  end
end
return values
