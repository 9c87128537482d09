-- Writes a value under a version.
--
-- KEYS  1 hash: v value, n version
-- ARGV  1 value  2 ttl in ms  3 '1' for only where there is none  4 a version to be newer than what is there, or ''
-- Reply {written, version}
local version = tonumber(redis.call('HGET', KEYS[1], 'n') or 0)
if ARGV[3] == '1' and version > 0 then return { 0, version } end
local given = tonumber(ARGV[4])
if given and given <= version then return { 0, version } end
version = given or version + 1
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'n', string.format('%.0f', version))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 1, version }
