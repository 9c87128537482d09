-- Adds an amount at a time in a flat list {time, amount, …} that is sorted by time. Searches from the end, because most
-- additions are at the latest time.
local function addAt(list, time, amount)
  local place = #list + 1
  while place > 1 and list[place - 2] > time do place = place - 2 end
  if list[place - 2] == time then
    list[place - 1] = list[place - 1] + amount
  else
    table.insert(list, place, amount)
    table.insert(list, place, time)
  end
end
