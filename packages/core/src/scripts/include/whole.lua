-- A number as the text of a whole one. Lua by itself writes those above 10^14 with an exponent, which Redis does not
-- read; below that its own text is the faster way.
local function whole(number)
  if number < 1e14 and number % 1 == 0 then return number .. '' end
  return string.format('%.0f', number)
end
