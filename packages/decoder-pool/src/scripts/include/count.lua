-- A count that is stored as text, 0 where it is none.
local function countOf(text) return tonumber(string.match(text or '', '^%-?%d+$') or 0) end
