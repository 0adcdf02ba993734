-- JSON for scrun.lua, in Lua 5.3 and 5.4. What was read is written back as it was: an empty object stays one, a number that Lua
-- would round (18446744073709551615, 1.50) keeps its text as long as the script leaves it alone. null is nil: members vanish,
-- entries of a list leave holes, which are null again when the list is written.
local type, pairs, ipairs, tostring, tonumber, error = type, pairs, ipairs, tostring, tonumber, error
local floor, huge, number_type = math.floor, math.huge, math.type
local format, byte, sub, find, gsub, match = string.format, string.byte, string.sub, string.find, string.gsub, string.match
local codepoint = utf8.char
local concat, sort = table.concat, table.sort

local MAX_DEPTH = 100
-- By table, so that scripts see plain tables without a metatable.
local weak = { __mode = "k" }
local is_object = setmetatable({}, weak)
local is_list = setmetatable({}, weak)
local exact = setmetatable({}, weak) -- table → key → { value, text }

local UNESCAPED = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function decode(text)
  if type(text) ~= "string" then error("from_json: expected a string, got " .. type(text), 0) end
  local at = 1
  local value

  local function fail(reason)
    local _, lines = gsub(sub(text, 1, at - 1), "\n", "")
    error(format("from_json: line %d: %s", lines + 1, reason), 0)
  end
  local function skip()
    at = find(text, "[^ \t\r\n]", at) or #text + 1
  end

  local function unescape(raw)
    local parts, from = {}, 1
    while true do
      local stop = find(raw, "\\", from, true)
      if not stop then break end
      parts[#parts + 1] = sub(raw, from, stop - 1)
      local letter = sub(raw, stop + 1, stop + 1)
      if letter == "u" then
        local hex = match(raw, "^%x%x%x%x", stop + 2)
        if not hex then fail("a string has a bad \\u escape") end
        local code = tonumber(hex, 16)
        from = stop + 6
        if code >= 0xD800 and code <= 0xDBFF then
          local low = match(raw, "^\\u(%x%x%x%x)", from)
          low = low and tonumber(low, 16)
          if low and low >= 0xDC00 and low <= 0xDFFF then
            code = 0x10000 + (code - 0xD800) * 0x400 + (low - 0xDC00)
            from = from + 6
          end
        end
        parts[#parts + 1] = codepoint(code)
      else
        local plain = UNESCAPED[letter]
        if not plain then fail("a string has a bad escape") end
        parts[#parts + 1] = plain
        from = stop + 2
      end
    end
    parts[#parts + 1] = sub(raw, from)
    return concat(parts)
  end

  local function text_value()
    local from = at + 1
    local stop = from
    while true do
      stop = find(text, '["\\%c]', stop)
      if not stop then fail("a string has no end") end
      local found = byte(text, stop)
      if found == 34 then break end
      if found == 92 then stop = stop + 2
      elseif found == 127 then stop = stop + 1
      else fail("a string holds a control character") end
    end
    local raw = sub(text, from, stop - 1)
    if find(raw, "\\", 1, true) then raw = unescape(raw) end
    at = stop + 1
    return raw
  end

  -- The second result is the text, where the number alone would not give it back.
  local function number_value()
    local raw = match(text, "^-?%d+%.?%d*[eE]?[-+]?%d*", at)
    if not raw or not (match(raw, "^-?%d+%.?%d*$") or match(raw, "^-?%d+%.?%d*[eE][-+]?%d+$")) or match(raw, "^-?0%d") or match(raw, "%.$") or match(raw, "%.[eE]") then
      fail(at > #text and "the text ends too early" or format("unexpected character %q", sub(text, at, at)))
    end
    at = at + #raw
    local number = tonumber(raw)
    if match(raw, "^-?%d+$") and (format("%.0f", number) == raw or number_type(number) == "integer" and tostring(number) == raw) then
      return number
    end
    return number, raw
  end

  local function member(holder, key, depth)
    local found, raw = value(depth + 1)
    holder[key] = found
    if raw then
      local texts = exact[holder]
      if not texts then
        texts = {}
        exact[holder] = texts
      end
      texts[key] = { found, raw }
    end
  end

  local function object(depth)
    local found = {}
    is_object[found] = true
    at = at + 1
    skip()
    if sub(text, at, at) == "}" then
      at = at + 1
      return found
    end
    while true do
      skip()
      if sub(text, at, at) ~= '"' then fail("a member's name is missing") end
      local name = text_value()
      skip()
      if sub(text, at, at) ~= ":" then fail('":" is missing') end
      at = at + 1
      member(found, name, depth)
      skip()
      local separator = sub(text, at, at)
      if separator ~= "," and separator ~= "}" then fail('"," or "}" is missing') end
      at = at + 1
      if separator == "}" then return found end
    end
  end

  local function list(depth)
    local found, length = {}, 0
    is_list[found] = true
    at = at + 1
    skip()
    if sub(text, at, at) == "]" then
      at = at + 1
      return found
    end
    while true do
      length = length + 1
      member(found, length, depth)
      skip()
      local separator = sub(text, at, at)
      if separator ~= "," and separator ~= "]" then fail('"," or "]" is missing') end
      at = at + 1
      if separator == "]" then return found end
    end
  end

  function value(depth)
    if depth > MAX_DEPTH then fail(format("nested deeper than %d", MAX_DEPTH)) end
    skip()
    local first = sub(text, at, at)
    if first == "{" then return object(depth) end
    if first == "[" then return list(depth) end
    if first == '"' then return text_value() end
    local word = match(text, "^%a+", at)
    if word then
      if word ~= "true" and word ~= "false" and word ~= "null" then fail(format("unexpected word %q", word)) end
      at = at + #word
      if word == "null" then return nil end
      return word == "true"
    end
    return number_value()
  end

  local found = value(0)
  skip()
  if at <= #text then fail("text after the end") end
  return found
end

local ESCAPED = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function quote(text)
  return '"' .. gsub(text, '[%c"\\]', function(letter)
    if letter == "\127" then return letter end
    return ESCAPED[letter] or format("\\u%04x", byte(letter))
  end) .. '"'
end

local function number_text(number)
  if number ~= number or number == huge or number == -huge then error("to_json: " .. tostring(number) .. " is no JSON number", 0) end
  if number_type(number) == "integer" then return tostring(number) end
  -- Also what Lua made a float by dividing: nothing in a config.json wants to be 262144.0.
  if number == floor(number) and number > -1e20 and number < 1e20 then return format("%.0f", number) end
  for digits = 15, 17 do
    local text = format("%." .. digits .. "g", number)
    if tonumber(text) == number then return text end
  end
end

-- The length when the keys are 1 … n; with `holes` also when some are missing.
local function list_length(found, holes)
  local count, largest = 0, 0
  for key in pairs(found) do
    if type(key) ~= "number" or key < 1 or key ~= floor(key) then return nil end
    count = count + 1
    if key > largest then largest = key end
  end
  if count ~= largest and not holes then return nil end
  return largest
end

local encode_value

local function encode_table(found, above, depth)
  if above[found] then error("to_json: a table contains itself", 0) end
  if depth > MAX_DEPTH then error(format("to_json: nested deeper than %d", MAX_DEPTH), 0) end
  above[found] = true
  local texts = exact[found]
  local function text_of(key, item)
    local kept = texts and texts[key]
    if kept and kept[1] == item and type(item) == "number" then return kept[2] end
    return encode_value(item, above, depth + 1)
  end
  local parts = {}
  local length = list_length(found, is_list[found])
  local result
  if length and (length > 0 or not is_object[found]) then
    for index = 1, length do parts[index] = text_of(index, found[index]) end
    result = "[" .. concat(parts, ",") .. "]"
  else
    local names, keys = {}, {}
    for key in pairs(found) do
      if type(key) ~= "string" and type(key) ~= "number" then error("to_json: a " .. type(key) .. " cannot be a member's name", 0) end
      local name = type(key) == "number" and number_text(key) or key
      names[#names + 1] = name
      keys[name] = key
    end
    sort(names) -- the same text each time
    for index, name in ipairs(names) do
      local key = keys[name]
      parts[index] = quote(name) .. ":" .. text_of(key, found[key])
    end
    result = "{" .. concat(parts, ",") .. "}"
  end
  above[found] = nil
  return result
end

function encode_value(item, above, depth)
  local kind = type(item)
  if kind == "nil" then return "null" end
  if kind == "boolean" then return tostring(item) end
  if kind == "number" then return number_text(item) end
  if kind == "string" then return quote(item) end
  if kind == "table" then return encode_table(item, above, depth) end
  error("to_json: a " .. kind .. " cannot be JSON", 0)
end

local function encode(item)
  return encode_value(item, {}, 0)
end

return { decode = decode, encode = encode }
