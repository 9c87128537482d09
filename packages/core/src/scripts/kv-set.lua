-- Writes a value under a new version.
--
-- KEYS  1 hash: v value, n version
-- ARGV  1 value  2 ttl in ms  3 the version that must be there, '0' for none, '' for any
--       4 '1' where nothing may be there too  5 SHA-1 of a value that may be there too, or ''
-- Reply {written, version}
--- @include "kv-version"
local version = version_of(KEYS[1])
if ARGV[3] ~= '' and not is_expected(KEYS[1], version, ARGV[3], ARGV[4], ARGV[5]) then return { 0, version } end
version = version_after(version)
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'n', string.format('%.0f', version))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 1, version }
