-- Reads one checkpoint with its values and writes.
--
-- KEYS  1 hash of the thread's checkpoints, as put.lua describes   2 sorted set of their names
-- ARGV  1 namespace with its bar   2 id, '' for the latest
-- Reply {} when there is none, {name, checkpoint, {digest, value, …}, {task,index, write, …}}
local name = ARGV[1] .. ARGV[2]
if ARGV[2] == '' then
  -- All names of the namespace: '}' is the character after the bar.
  local latest = redis.call('ZREVRANGEBYLEX', KEYS[2], '(' .. string.sub(ARGV[1], 1, -2) .. '}', '[' .. ARGV[1],
    'LIMIT', 0, 1)
  name = latest[1]
  if not name then return {} end
end
local checkpoint = redis.call('HGET', KEYS[1], 'c|' .. name)
if not checkpoint then return {} end
local values, writes, seen = {}, {}, {}
local function add(digest)
  if seen[digest] then return end
  seen[digest] = true
  local value = redis.call('HGET', KEYS[1], 'b|' .. digest) or ''
  values[#values + 1] = digest
  values[#values + 1] = value
  -- A run of elements, or of runs.
  if string.sub(value, 1, 5) == 'list\n' then
    for element in string.gmatch(string.sub(value, 6), '[^,]+') do add(element) end
  end
end
for digest in string.gmatch(string.match(checkpoint, '^[^\n]*'), '[^,]+') do add(digest) end
for write in string.gmatch(redis.call('HGET', KEYS[1], 'w|' .. name) or '', '%S+') do
  writes[#writes + 1] = write
  writes[#writes + 1] = redis.call('HGET', KEYS[1], 'w|' .. name .. '|' .. write)
end
return { name, checkpoint, values, writes }
