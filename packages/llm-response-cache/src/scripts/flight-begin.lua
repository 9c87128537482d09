-- Decides which of many instances calls the provider.
-- KEYS  entry, lease
-- ARGV  generation of this attempt, owner, lease in ms, id of an entry that the caller cannot use (empty: none),
--       the versions that are present when it begins, its model
-- Reply {'hit', entry} | {'lead'} | {'follow', generation, owner, versions} | {'apart'}
-- A void lease (its entry was deleted meanwhile) can't be followed: the next caller leads instead, or calls without a
-- lease if followers still wait for the void one.
-- May be repeated: the holder of the lease is told again that it leads.
local entry = redis.call('GET', KEYS[1])
if entry then
  local id = ''
  for index = math.max(1, #entry - 3), #entry do id = id .. string.format('%02x', entry:byte(index)) end
  if id ~= ARGV[4] then return { 'hit', entry } end
end
local lease = redis.call('HMGET', KEYS[2], 'generation', 'owner', 'void', 'followers', 'versions')
if lease[1] == ARGV[1] then return { 'lead' } end
if lease[3] and lease[4] ~= '0' then return { 'apart' } end
if lease[1] and not lease[3] then
  redis.call('HINCRBY', KEYS[2], 'followers', 1)
  return { 'follow', lease[1], lease[2], lease[5] or '[]' }
end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'generation', ARGV[1], 'owner', ARGV[2], 'followers', 0, 'versions', ARGV[5], 'model', ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return { 'lead' }
