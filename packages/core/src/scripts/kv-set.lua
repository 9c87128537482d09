-- Writes a value under a new version.
--
-- KEYS  1 hash: v value, n version
-- ARGV  1 value  2 ttl in ms  3 the version that the key must have, '0' for no value, '' for any
--       4 '1' if the key may also have no value  5 SHA-1 of a value that it may also hold, or ''
-- Reply {1, new version}, or {0, version that the key has}
--- @include "kv-version"
local version = version_of(KEYS[1])
if ARGV[3] ~= '' and not is_expected(KEYS[1], version, ARGV[3], ARGV[4], ARGV[5]) then return { 0, version } end
version = version_after(version)
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'n', string.format('%.0f', version))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 1, version }
