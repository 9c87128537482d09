-- Removes a value.
--
-- KEYS  1 hash: v value, n version
-- ARGV  1 the version that the key must have, '' for any  2 SHA-1 of a value that it may hold instead, or ''
-- Reply 1, or 0 if there was no value or another one
--- @include "kv-version"
if ARGV[1] ~= '' and not is_expected(KEYS[1], version_of(KEYS[1]), ARGV[1], '0', ARGV[2]) then return 0 end
return redis.call('UNLINK', KEYS[1])
