-- Reads versions, creates those that are missing, or sets them.
-- KEYS  the versions of one tenant
-- ARGV  for each of them: '1' to set it, '0' to create it only if it is missing; a random text; the ttl of a
--       new one in ms, or '0' for none
-- Reply the present versions, in the order of the keys.
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
