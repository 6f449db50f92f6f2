"""The scripts of entries in Redis. Each works on one shelf, whose keys lie in one slot, and leaves it whole.

A shelf holds the entries of many partitions:

| key | type | holds |
|---|---|---|
| `rows` | hash | by number: seal (32 bytes), fence (8), head, vector, payload; head and vector behind their lengths |
| `keys` | hash | `e` partition exact, `i` id: a number; `c` partition content: numbers, oldest first; `erasures`: a count |
| `places` | sorted set | partition `:` number, by name: what an index reads on from the last number that it has seen |
| `ages` | sorted set | numbers, by themselves: they are microseconds, and only rise |
| `ends` | sorted set | numbers, by when they are over |
| `about` | sorted set | subject `:` number, by name; subjects are digests |
| `erased` | hash | subjects that were erased a moment ago: what a writer in flight is refused by |

Beside it lie `vectors:` partition (a vector set, where the server has them), and in one shelf of each subject `tombstones`.
"""

from __future__ import annotations

from typing import Final

KEYS: Final = ("rows", "keys", "places", "ages", "ends", "about", "erased")

_BASE: Final = """
local base, vectors = ARGV[1], ARGV[2] == '1'
local function head_of(value)
    return cjson.decode(string.sub(value, 45, 44 + struct.unpack('>I4', value, 41)))
end
local function unlink(number, head)
    local exact, content = 'e' .. head.partition .. head.exact, 'c' .. head.partition .. head.content
    if redis.call('HGET', KEYS[2], exact) == number then redis.call('HDEL', KEYS[2], exact) end
    local left = {}
    for one in string.gmatch(redis.call('HGET', KEYS[2], content) or '', '%S+') do
        if one ~= number then left[#left + 1] = one end
    end
    if #left > 0 then
        redis.call('HSET', KEYS[2], content, table.concat(left, ' '))
    else
        redis.call('HDEL', KEYS[2], content)
    end
    redis.call('HDEL', KEYS[2], 'i' .. head.id)
    redis.call('ZREM', KEYS[3], head.partition .. ':' .. number)
    if vectors then redis.pcall('VREM', base .. ':vectors:' .. head.partition, number) end
    for _, subject in ipairs(head.about) do redis.call('ZREM', KEYS[6], subject .. ':' .. number) end
end
local function remove(number)
    local value = redis.call('HGET', KEYS[1], number)
    redis.call('HDEL', KEYS[1], number)
    redis.call('ZREM', KEYS[4], number)
    redis.call('ZREM', KEYS[5], number)
    if not value then return 0 end
    -- What was damaged leaves names behind, which lead nowhere, and end with the shelf.
    pcall(function() unlink(number, head_of(value)) end)
    return 1
end
"""

PUT: Final = (
    _BASE
    + """
local value, partition, exact, content, id = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local ends, milliseconds, asked_at, vector, attributes = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11], ARGV[12]
for number = 13, #ARGV do
    local at = redis.call('HGET', KEYS[7], ARGV[number])
    if at and not (asked_at > tonumber(at)) then return 0 end
end
local older = redis.call('HGET', KEYS[2], 'e' .. partition .. exact)
if older then remove(older) end
for _, over in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', ARGV[10], 'LIMIT', 0, 8)) do remove(over) end
local time = redis.call('TIME')
local number = time[1] * 1000000 + time[2]
local last = redis.call('ZREVRANGE', KEYS[4], 0, 0)[1]
if last and number <= tonumber(last) then number = tonumber(last) + 1 end
number = string.format('%.0f', number)
local set = base .. ':vectors:' .. partition
local written = {KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], set}
local isnew = {}
for _, key in ipairs(written) do isnew[key] = redis.call('EXISTS', key) == 0 end
redis.call('HSET', KEYS[1], number, value)
redis.call('HSET', KEYS[2], 'e' .. partition .. exact, number, 'i' .. id, number)
local alike = redis.call('HGET', KEYS[2], 'c' .. partition .. content)
redis.call('HSET', KEYS[2], 'c' .. partition .. content, string.sub((alike and alike .. ' ' or '') .. number, -271))
redis.call('ZADD', KEYS[3], 0, partition .. ':' .. number)
redis.call('ZADD', KEYS[4], number, number)
if ends ~= '' then redis.call('ZADD', KEYS[5], ends, number) end
for place = 13, #ARGV do redis.call('ZADD', KEYS[6], 0, ARGV[place] .. ':' .. number) end
local missing = 0
if vectors and vector ~= '' then
    local added = redis.pcall('VADD', set, 'FP32', vector, number, 'Q8', 'SETATTR', attributes)
    if type(added) == 'table' and added.err then missing = 1 end
end
for _, key in ipairs(written) do
    local left = redis.call('PTTL', key)
    if milliseconds == 0 then
        redis.call('PERSIST', key)
    elseif (left == -1 and isnew[key]) or (left >= 0 and left < milliseconds) then
        redis.call('PEXPIRE', key, milliseconds)
    end
end
return 1 + missing
"""
)
"""Keeps a row under a new number, in place of one with the same partition and exact key, and removes some that are over.

Returns 0 when it is about somebody who was erased, 2 when its vector could not be kept, else 1. Sixteen numbers of 16 digits, and
blanks between them, are 271 characters: so many entries of one content key are remembered.
"""

BY_NAME: Final = """
local number = redis.call('HGET', KEYS[2], ARGV[1])
local value = number and redis.call('HGET', KEYS[1], number)
return value and {number, value} or {}
"""
"""Returns number and row of an exact key or an id, or nothing."""

BY_CONTENT: Final = """
local numbers, found = {}, {}
for number in string.gmatch(redis.call('HGET', KEYS[2], ARGV[1]) or '', '%S+') do table.insert(numbers, 1, number) end
for place = 1, math.min(#numbers, tonumber(ARGV[2])) do
    local value = redis.call('HGET', KEYS[1], numbers[place])
    if value then
        found[#found + 1] = numbers[place]
        found[#found + 1] = value
    end
end
return found
"""
"""Returns numbers and rows of a content key, newest first."""

AFTER: Final = """
local found = {'0'}
local names = redis.call('ZRANGEBYLEX', KEYS[3], '(' .. ARGV[1] .. ':' .. ARGV[2], '(' .. ARGV[1] .. ';', 'LIMIT', 0, ARGV[3])
for _, name in ipairs(names) do
    local number = string.sub(name, #ARGV[1] + 2)
    local value = redis.call('HGET', KEYS[1], number)
    found[1] = number
    if value then
        found[#found + 1] = number
        found[#found + 1] = value
    end
end
return found
"""
"""Returns the last number that was looked at, 0 for none, and numbers and rows of a partition beyond a number."""

STANDING: Final = """
local newest = redis.call('ZREVRANGEBYLEX', KEYS[3], '(' .. ARGV[1] .. ';', '(' .. ARGV[1] .. ':', 'LIMIT', 0, 1)[1]
return {newest and string.sub(newest, #ARGV[1] + 2) or '0', redis.call('HGET', KEYS[2], 'erasures') or '0'}
"""
"""Returns the newest number of a partition, and how many erasures its shelf has seen."""

REPLACE: Final = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored then return 0 end
-- It may have been sent twice; what somebody else wrote has a fence of its own, even if it says the same.
if string.sub(stored, 1, 40) == string.sub(ARGV[3], 1, 40) then return 1 end
if string.sub(stored, 1, 32) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
"""Writes a row under a number if the seal there is as expected; says whether it is there now."""

DISCARD: Final = (
    _BASE
    + """
local removed = 0
for place = 4, #ARGV do
    removed = removed + remove(ARGV[place])
    redis.call('ZREM', KEYS[3], ARGV[3] .. ':' .. ARGV[place])
    if vectors and ARGV[3] ~= '' then redis.pcall('VREM', base .. ':vectors:' .. ARGV[3], ARGV[place]) end
end
return removed
"""
)
"""Removes numbers, of one partition if it is named; returns how many were there."""

SWEEP: Final = (
    _BASE
    + """
local subject, at, removed = ARGV[3], ARGV[4], 0
local before = redis.call('HGET', KEYS[7], subject)
if not before or tonumber(before) < tonumber(at) then redis.call('HSET', KEYS[7], subject, at) end
redis.call('PEXPIRE', KEYS[7], ARGV[5])
for _, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[6], '[' .. subject .. ':', '(' .. subject .. ';')) do
    removed = removed + remove(string.sub(name, #subject + 2))
    redis.call('ZREM', KEYS[6], name)
end
if removed > 0 then
    redis.call('HINCRBY', KEYS[2], 'erasures', 1)
    if redis.call('PTTL', KEYS[2]) == -1 and redis.call('HLEN', KEYS[2]) == 1 then redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
end
return removed
"""
)
"""Removes what a shelf holds about a subject, and marks the subject for a while; returns how many rows there were."""

BURY: Final = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before or tonumber(before) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
return 1
"""
"""Leaves a tombstone, which stays."""

OVER: Final = (
    _BASE
    + """
local removed, over = 0, redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', ARGV[3], 'LIMIT', 0, ARGV[4])
for _, number in ipairs(over) do removed = removed + remove(number) end
return {#over, removed}
"""
)
"""Removes some of what is over; returns how many names that were, and how many rows."""

WRITE_NOTE: Final = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and string.sub(stored, 1, 40) == string.sub(ARGV[3], 1, 40) then return 1 end
if (stored and string.sub(stored, 1, 32) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
"""Writes a note if the seal there is as expected; says whether it is there now."""
