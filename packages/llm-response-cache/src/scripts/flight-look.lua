-- Reads the records of a log after a cursor, and whether its leader still holds the lease.
-- KEYS  lease, log
-- ARGV  generation, cursor (an id of the log, '0' for its beginning), maximum number of records
-- Reply {'live' | 'gone', cursor, type, data, type, data …}
local state = redis.call('HGET', KEYS[1], 'generation') == ARGV[1] and 'live' or 'gone'
local reply = { state, ARGV[2] }
for _, record in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[2], '+', 'COUNT', ARGV[3])) do
  reply[2] = record[1]
  reply[#reply + 1] = record[2][1]
  reply[#reply + 1] = record[2][2]
end
-- A full reply says 'live', since more records may be left, and a reader stops at 'gone'.
if #reply - 2 >= 2 * tonumber(ARGV[3]) then reply[1] = 'live' end
return reply
