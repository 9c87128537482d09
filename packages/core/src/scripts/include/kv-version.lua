-- Of a key that should be a small hash: v value, n version. What is something else was not written by this store.
--- @include "clock"
-- The version that is there, 0 where there is none; a key of another type is removed, since it is in the way.
local function version_of(key)
  local version = redis.pcall('HGET', key, 'n')
  if type(version) == 'table' then redis.call('DEL', key) return 0 end
  return tonumber(version) or 0
end
-- A version for the next write: above the last one, and from the clock, so that none comes again after a deletion.
local function version_after(last)
  return math.max(last + 1, micros())
end
-- Whether a key is as a change expects it: by version, by absence, or by the SHA-1 of its value.
local function is_expected(key, version, expected, or_absent, or_digest)
  if version == tonumber(expected) then return true end
  if version == 0 then return or_absent == '1' end
  return or_digest ~= '' and or_digest == redis.sha1hex(redis.call('HGET', key, 'v') or '')
end
