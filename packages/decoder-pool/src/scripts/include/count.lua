-- A count that is stored as text; 0 if it is missing or not a number.
local function countOf(text) return tonumber(string.match(text or '', '^%-?%d+$') or 0) end
