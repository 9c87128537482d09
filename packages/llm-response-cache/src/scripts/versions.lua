-- Reads versions, makes those that are missing, or sets them.
-- KEYS  the versions of one tenant
-- ARGV  for each of them: '1' to set it, '0' to make it only where there is none; a random text; how long a
--       new one lives, in ms, or '0' for ever
-- Reply the versions that hold now, in the order of the keys.
-- Idempotent: the same texts give the same versions.
local present = {}
for index, key in ipairs(KEYS) do
  local set, value, ttl = ARGV[index * 3 - 2], ARGV[index * 3 - 1], ARGV[index * 3]
  local known = redis.call('GET', key)
  if set == '1' or not known then
    if ttl == '0' then redis.call('SET', key, value) else redis.call('SET', key, value, 'PX', ttl) end
    known = value
  end
  present[index] = known
end
return present
