-- Reads the first argument of single.lua.
local given = tonumber(ARGV[1])
