-- Raises the expiry of keys, and never lowers it. KEYS are the rows' hashes. ARGV holds for how many ms from now a key
-- lives that has no expiry yet and holds more than the row's fields, 0 for all time; then for each row 12 bytes: when it
-- expires in ms since 1970, and how many fields it has. PEXPIREAT's own GT is unknown before Redis 7.
-- Returns how many were changed, or the first error.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local longest, changed = tonumber(ARGV[1]), 0
for row = 1, #KEYS do
  local key = KEYS[row]
  local expires, fields = struct.unpack('>i8>i4', ARGV[row + 1])
  local left = redis.call('PTTL', key)
  local is_wanted = left >= 0 and now + left < expires
  if left == -1 then
    is_wanted = true
    if redis.call('HLEN', key) > fields then
      is_wanted = longest > 0
      expires = math.max(expires, now + longest)
    end
  end
  if is_wanted then
    local answer = redis.pcall('PEXPIREAT', key, string.format('%.0f', expires))
    if type(answer) == 'table' then return answer end
    changed = changed + 1
  end
end
return changed
