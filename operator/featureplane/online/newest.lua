-- Writes rows whose event time is not older than the stored one. KEYS are the rows' hashes. ARGV holds the number of
-- parts, what to do with a key's expiry and a number for it, whether fields expire, and for each part its time field,
-- its ttl in ms and its number of arguments; then for each row and part 12 bytes of seconds and nanoseconds and the
-- arguments of HSET, or an empty string where the row has nothing of the part.
-- Returns a string with one character for each row and part, 1 where it was written; or the first error.

local byte, floor, format, unpack_time = string.byte, math.floor, string.format, struct.unpack
local parts, action, number, fields_expire = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4] == '1'
local MOST = 4000 -- results of one unpack; even, and Lua allows some 8000

-- A varint: its value as a signed integer of 64 bits, and where to read on. Doubles hold 53 bits, so in two halves.
local function varint(text, at)
  local low, high, scale = 0, 0, 1
  for position = 0, 9 do
    local part = byte(text, at + position)
    if not part then return nil end
    if position == 4 then scale = 1 end
    if position < 4 then low = low + (part % 128) * scale else high = high + (part % 128) * scale end
    scale = scale * 128
    if part < 128 then
      high = high % 68719476736
      if high >= 34359738368 then high = high - 68719476736 end
      return high * 268435456 + low, at + position + 1
    end
  end
end

-- A serialized Timestamp: seconds and nanoseconds, or nil.
local function decode(text)
  local seconds, nanos, at = 0, 0, 1
  if byte(text, at) == 8 then
    seconds, at = varint(text, at + 1)
    if not seconds then return nil end
  end
  if byte(text, at) == 16 then
    nanos, at = varint(text, at + 1)
    if not nanos then return nil end
  end
  if at ~= #text + 1 then return nil end
  return seconds, nanos
end

local layout, at = {}, 5
for part = 1, parts do
  layout[part] = {time_field = ARGV[at], ttl = tonumber(ARGV[at + 1]), arguments = tonumber(ARGV[at + 2])}
  at = at + 3
end

local now = 0
if action == 'raise' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end

local function write(key, part, first, expires)
  for start = first, first + part.arguments - 1, MOST do
    local last = math.min(start + MOST, first + part.arguments) - 1
    local answer = redis.pcall('HSET', key, unpack(ARGV, start, last))
    if type(answer) == 'table' then return answer end
    if fields_expire and part.ttl > 0 then
      local names = {}
      for field = start, last, 2 do names[#names + 1] = ARGV[field] end
      answer = redis.pcall('HPEXPIREAT', key, format('%.0f', expires), 'FIELDS', #names, unpack(names))
      if answer.err then return answer end
    end
  end
end

-- A key that has no expiry yet and holds more than this row may hold what lives longest of all.
local function expire(key, expires, fields)
  if action == 'persist' then return redis.pcall('PERSIST', key) end
  if action == 'expire' then return redis.pcall('EXPIRE', key, number) end
  local left = redis.call('PTTL', key)
  if left == -1 then
    if redis.call('HLEN', key) > fields then
      if number == '0' then return end
      expires = math.max(expires, now + number)
    end
  elseif now + left >= expires then
    return
  end
  return redis.pcall('PEXPIREAT', key, format('%.0f', expires))
end

local written = {}
for row = 1, #KEYS do
  local key = KEYS[row]
  local latest, fields = nil, 0
  for index = 1, parts do
    local part, new = layout[index], ARGV[at]
    local is_newer = false
    at = at + 1
    if new ~= '' then
      local stored = redis.pcall('HGET', key, part.time_field)
      if type(stored) == 'table' then return stored end
      local seconds, nanos = unpack_time('>i8>i4', new)
      local old_seconds, old_nanos
      if stored then old_seconds, old_nanos = decode(stored) end
      is_newer = not old_seconds or seconds > old_seconds or (seconds == old_seconds and nanos >= old_nanos)
      if is_newer then
        local expires = seconds * 1000 + floor(nanos / 1000000) + part.ttl
        local failure = write(key, part, at, expires)
        if failure then return failure end
        latest, fields = math.max(latest or expires, expires), fields + part.arguments / 2
      end
      at = at + part.arguments
    end
    written[#written + 1] = is_newer and '1' or '0'
  end
  if latest and action ~= '' then
    local failure = expire(key, latest, fields)
    if type(failure) == 'table' and failure.err then return failure end
  end
end
return table.concat(written)
