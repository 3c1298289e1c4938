//! What a group does in one step on the server. The first key of each script is the stream.

/// What every script knows of a stream and a group.
macro_rules! with_tools {
    ($script:literal) => {
        concat!(
            "\
local key = KEYS[1]
local function fields(list)
  local found = {}
  for i = 1, #list, 2 do found[list[i]] = list[i + 1] end
  return found
end
local function stream() return fields(redis.call('XINFO', 'STREAM', key)) end
local function group(name)
  for _, one in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local found = fields(one)
    if found['name'] == name then return found end
  end
end
local function less(a, b)
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  if #am ~= #bm then return #am < #bm end
  if am ~= bm then return am < bm end
  if #as ~= #bs then return #as < #bs end
  return as < bs
end
-- Of a stream out of whose middle nothing was deleted: how many entries came before its oldest.
local function gone(info)
  if info['length'] == 0 then return info['entries-added'] end
  if not less(info['max-deleted-entry-id'], info['recorded-first-entry-id']) then return nil end
  return info['entries-added'] - info['length']
end
",
            $script
        )
    };
}

/// Makes a group. Arguments: its name, `earliest` or `latest`. Answers 1 where there was none, and 2 where there is no log.
///
/// How many entries it has read is said along, or the server could not count what it has not.
pub(crate) const MAKE: &str = with_tools!(
    "\
if redis.call('EXISTS', key) == 0 then return 2 end
if group(ARGV[1]) then return 0 end
redis.call('XGROUP', 'CREATE', key, ARGV[1], '0')
local info = stream()
if ARGV[2] == 'latest' then
  redis.call('XGROUP', 'SETID', key, ARGV[1], info['last-generated-id'], 'ENTRIESREAD', info['entries-added'])
else
  redis.call('XGROUP', 'SETID', key, ARGV[1], '0', 'ENTRIESREAD', gone(info) or 0)
end
return 1"
);

/// Looks after what a group holds, and takes over for a member what others have not settled in time. What is given out for
/// the first time is read behind it, in the same transaction: read in here, each record would pass the interpreter and cost
/// several times as much. Arguments: group, member, how many, its lease, from where on pending entries are looked
/// at, after how long a consumer that holds nothing has gone, and what was told of missing records since the last call.
/// The second key is the settings of the log.
///
/// What is missing stays written down there until a member has said that it was told: an answer may be lost.
///
/// Answers with: how many records retention took that this group had not finished (-1: an unknown number), the place
/// that was given out last, from where on pending entries are looked at the next time, and for each record that was taken
/// over its place, its fields, and how often it was given out.
pub(crate) const TAKE: &str = with_tools!(
    "\
local name, me, room, own = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out, missing, least, leases = {}, 0, nil, {}
local note = 'missing:' .. name
local noted = tonumber(redis.call('HGET', KEYS[2], note) or '0')
local told = tonumber(ARGV[7])
if noted ~= 0 and told ~= 0 then
  if told < 0 or noted < 0 or told >= noted then
    redis.call('HDEL', KEYS[2], note)
    noted = 0
  else
    noted = redis.call('HINCRBY', KEYS[2], note, -told)
  end
end
-- Says that this member is there, also while it takes nothing. (The very last place of all means `>`.)
redis.call('XREADGROUP', 'GROUP', name, me, 'COUNT', 1, 'STREAMS', key, '18446744073709551615-0')
for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do
  local found = fields(one)
  local consumer = found['name']
  local lease = tonumber(string.match(consumer, ':(%d+)$')) or own
  if consumer == 'released' then lease = 0 end
  leases[consumer] = lease
  if found['pending'] > 0 then
    if not least or lease < least then least = lease end
  elseif consumer ~= me and consumer ~= 'released' and found['idle'] > tonumber(ARGV[6]) then
    redis.call('XGROUP', 'DELCONSUMER', key, name, consumer)
  end
end
local from = '-'
if room > 0 and least then
  local due = redis.call('XPENDING', key, name, 'IDLE', least, ARGV[5], '+', 256)
  if #due == 256 then from = '(' .. due[256][1] end
  for _, one in ipairs(due) do
    if #out == room then
      from = one[1]
      break
    end
    if one[3] >= (leases[one[2]] or own) then
      local claimed = redis.call('XCLAIM', key, name, me, 0, one[1])
      if #claimed == 0 or not claimed[1] then
        redis.call('XACK', key, name, one[1])
        if missing >= 0 then missing = missing + 1 end
      else
        out[#out + 1] = {one[1], claimed[1][2], one[4] + 1}
      end
    end
  end
end
local before, info = group(name), stream()
local last, read = before['last-delivered-id'], before['entries-read']
local first, passed = info['recorded-first-entry-id'], gone(info)
if less(last, info['last-generated-id']) and (info['length'] == 0 or less(last, first)) then
  -- What was given out last, and all before it, is gone: was there more behind it?
  if not read or not passed then
    if last ~= '0-0' and (room > #out or passed) then missing = -1 end
  elseif passed > read and missing >= 0 then
    missing = missing + passed - read
  end
  if passed and (not read or passed > read) then
    local at = info['length'] == 0 and info['last-generated-id'] or last
    redis.call('XGROUP', 'SETID', key, name, at, 'ENTRIESREAD', passed)
    last = at
  end
end
if missing ~= 0 then
  if missing < 0 or noted < 0 then noted = -1 else noted = noted + missing end
  redis.call('HSET', KEYS[2], note, noted)
end
return {noted, last, from, out}"
);

/// Settles records of a member. Arguments: group, member, the oldest and the newest of the places, then for each record
/// its place and `ack`, `extend` or `release`. Answers for each whether it was this member's: 1, or 0.
///
/// One look at what the member holds in between, and one `XACK` for all.
pub(crate) const SETTLE: &str = "\
local key, name, me, out, acked = KEYS[1], ARGV[1], ARGV[2], {}, {}
local held = {}
for _, one in ipairs(redis.call('XPENDING', key, name, ARGV[3], ARGV[4], 2048, me)) do held[one[1]] = one[4] end
for i = 5, #ARGV, 2 do
  local id, how, mine = ARGV[i], ARGV[i + 1], 1
  local count = held[id]
  if not count then
    local found = redis.call('XPENDING', key, name, id, id, 1)[1]
    if found and found[2] == me then count = found[4]
    -- What retention took while it was worked on is nobody else's.
    elseif found or #redis.call('XRANGE', key, id, id) > 0 then mine = 0 end
  end
  if count then
    if how == 'ack' then acked[#acked + 1] = id
    elseif how == 'extend' then redis.call('XCLAIM', key, name, me, 0, id, 'JUSTID')
    else
      redis.call('XCLAIM', key, name, 'released', 0, id, 'RETRYCOUNT', math.max(count - 1, 0), 'JUSTID')
      held[id] = nil
    end
  end
  out[#out + 1] = mine
end
if #acked > 0 then redis.call('XACK', key, name, unpack(acked)) end
return out";

/// Gives back what a member holds, at most 256 of it, and forgets the member when nothing is left. Arguments: group,
/// member. Answers with how many there were.
pub(crate) const LEAVE: &str = "\
local key, name, me = KEYS[1], ARGV[1], ARGV[2]
if redis.call('EXISTS', key) == 0 then return 0 end
local held = redis.call('XPENDING', key, name, '-', '+', 256, me)
for _, one in ipairs(held) do
  redis.call('XCLAIM', key, name, 'released', 0, one[1], 'RETRYCOUNT', math.max(one[4] - 1, 0), 'JUSTID')
end
if #held < 256 then redis.call('XGROUP', 'DELCONSUMER', key, name, me) end
return #held";

/// How a group stands. Argument: its name. Answers with nothing where there is none, else with: the place that was given
/// out last, the next that would be, how many wait to be given out (-1 where that is not known), how many are pending,
/// and for each consumer its name, what it holds, and for how many milliseconds nothing was heard of it.
pub(crate) const DESCRIBE: &str = with_tools!(
    "\
local found = redis.call('EXISTS', key) == 1 and group(ARGV[1])
if not found then return {} end
local info, last = stream(), found['last-delivered-id']
local next = redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', 1)
local waiting, passed = -1, gone(info)
if #next == 0 then waiting = 0
elseif next[1][1] == info['recorded-first-entry-id'] then waiting = info['length']
elseif found['entries-read'] and passed then waiting = info['entries-added'] - found['entries-read'] end
local consumers = {}
for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', key, ARGV[1])) do
  local consumer = fields(one)
  consumers[#consumers + 1] = {consumer['name'], consumer['pending'], consumer['idle']}
end
return {last, next[1] and next[1][1] or false, waiting, found['pending'], consumers}"
);

/// Counts entries from a place on, a part at a time. Argument: the place. Answers with how many were counted, and from
/// where on the rest is to be counted, where there is more.
pub(crate) const COUNT: &str = "\
local found = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 5000)
return {#found, #found == 5000 and '(' .. found[5000][1] or false}";

/// Moves a group. The second key is the settings of the log. Arguments: its name, the place that counts as given out last, how many entries that are, after how long
/// a consumer has gone. Answers 0 where there are members, else 1. What was given out and not done is forgotten: the
/// group goes on at its new place alone.
pub(crate) const RESET: &str = "\
local key, name = KEYS[1], ARGV[1]
for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do
  local found = {}
  for i = 1, #one, 2 do found[one[i]] = one[i + 1] end
  if found['name'] ~= 'released' and found['idle'] <= tonumber(ARGV[4]) then return 0 end
end
redis.call('HDEL', KEYS[2], 'missing:' .. name)
for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', key, name)) do
  redis.call('XGROUP', 'DELCONSUMER', key, name, one[2])
end
if ARGV[2] == '' then redis.call('XGROUP', 'DESTROY', key, name)
elseif ARGV[3] == '' then redis.call('XGROUP', 'SETID', key, name, ARGV[2])
else redis.call('XGROUP', 'SETID', key, name, ARGV[2], 'ENTRIESREAD', ARGV[3]) end
return 1";
