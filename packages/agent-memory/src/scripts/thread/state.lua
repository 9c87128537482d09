-- Writes one value of a thread's state. After thread.lua.
--
-- ARGV  8 set, add or unset   9 key   10 JSON or a number to add   11 version that the value must have, '' for any
--       12 maximum of keys
-- Reply {'done', …, 'version JSON'}; {'conflict', …, version} if the value has another version; {'number', …} if
--       the value to add to is no number; {'full', …, 'state'}
local key, known = '$' .. ARGV[9], nil
local stored = redis.call('HGET', thread, key)
local own, json = 0, nil
if stored then
  local blank = string.find(stored, ' ', 1, true)
  own, json = tonumber(string.sub(stored, 1, blank - 1)), string.sub(stored, blank + 1)
end
if ARGV[11] ~= '' and tonumber(ARGV[11]) ~= own then return reply('conflict', own) end

local keys = redis.call('HGET', thread, '_k') or ''
if ARGV[8] == 'unset' then
  if stored then
    local kept = {}
    for other in string.gmatch(keys, '%S+') do
      if other ~= ARGV[9] then kept[#kept + 1] = other end
    end
    redis.call('HSET', thread, '_k', table.concat(kept, ' '))
    redis.call('HDEL', thread, key)
    remember('0 ')
    save(false)
  end
  return reply('done', '0 ')
end

local value = ARGV[10]
if ARGV[8] == 'add' then
  local sum = tonumber(json or '0')
  if not sum then return reply('number') end
  sum = sum + tonumber(ARGV[10])
  value = sum == math.floor(sum) and math.abs(sum) < 1e15 and whole(sum) or string.format('%.17g', sum)
end
if not stored then
  local _, others = string.gsub(keys, '%S+', '')
  if others >= tonumber(ARGV[12]) then return reply('full', 'state') end
  redis.call('HSET', thread, '_k', others == 0 and ARGV[9] or keys .. ' ' .. ARGV[9])
end
-- The thread's version serves as the value's, so that a value that is set again after an unset has a new one.
local outcome = whole(version + 1) .. ' ' .. value
redis.call('HSET', thread, key, outcome)
remember(outcome)
save(false)
return reply('done', outcome)
