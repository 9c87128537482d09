-- For keys that are small hashes: v value, n version. A key of another type was not written by this store.
--- @include "clock"
-- The version of a key, 0 if it has none. Removes a key of another type, because a write would fail on it.
local function version_of(key)
  local version = redis.pcall('HGET', key, 'n')
  if type(version) == 'table' then redis.call('DEL', key) return 0 end
  return tonumber(version) or 0
end
-- A version for the next write: above the last one, and from the clock, so that none is used again after a deletion.
local function version_after(last)
  return math.max(last + 1, micros())
end
-- Whether a key holds what a change expects: by version, by absence, or by the SHA-1 of its value.
local function is_expected(key, version, expected, or_absent, or_digest)
  if version == tonumber(expected) then return true end
  if version == 0 then return or_absent == '1' end
  return or_digest ~= '' and or_digest == redis.sha1hex(redis.call('HGET', key, 'v') or '')
end
