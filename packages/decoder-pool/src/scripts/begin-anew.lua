-- Deletes keys that belong together if one of them has a wrong type. As after a flush, the coordinators then write
-- again what they know.
--
-- KEYS  the keys
-- ARGV  for each key a command that reads its type: HLEN, ZCARD, XREVRANGE or GET
-- Reply 1 if they were deleted
for index, key in ipairs(KEYS) do
  local command = ARGV[index]
  local found
  if command == 'XREVRANGE' then
    found = redis.pcall(command, key, '+', '-', 'COUNT', 1)
  else
    found = redis.pcall(command, key)
  end
  if type(found) == 'table' and found.err and string.find(found.err, 'WRONGTYPE', 1, true) then
    for _, each in ipairs(KEYS) do redis.call('DEL', each) end
    return 1
  end
end
return 0
