-- A number as the text of a whole number. Lua itself writes numbers from 10^14 on with an exponent, which Redis can't
-- parse; below that, Lua's own conversion is faster.
local function whole(number)
  if number < 1e14 and number % 1 == 0 then return number .. '' end
  return string.format('%.0f', number)
end
