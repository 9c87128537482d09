-- Lists the drafts of a thread that have not ended, in the order in which they began.
--
-- KEYS  1 hash of the thread's drafts, as write.lua describes
-- Reply {name, µs of its beginning, ms since its writer's last write, …}
--- @include "clock"
--- @include "draft"
local now = now()
local all, open = redis.call('HGETALL', KEYS[1]), {}
for index = 1, #all, 2 do
  local _, at, began, _, state = draftFrom(all[index + 1])
  if state == 'o' then open[#open + 1] = { all[index], tonumber(began), now - tonumber(at) } end
end
table.sort(open, function(one, other)
  if one[2] ~= other[2] then return one[2] < other[2] end
  return one[1] < other[1]
end)
local flat = {}
for _, one in ipairs(open) do
  for part = 1, 3 do flat[#flat + 1] = one[part] end
end
return flat
