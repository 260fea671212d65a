-- Theory of operation
--
-- The log (replies:<id>) is the truth about a request. Its ids are <seq>-0, so Redis itself refuses a number twice, and
-- its last entry says how far the answer is and whether it has ended: its one field is named <generation>:<letter>.
-- Everything else (state hash, lease, queue entry, mailbox) is brought in line with the log, never the other way round.
--
-- Each function gets KEYS[1], the shard's prefix "penstock:{s0}:", and builds from it the keys that it finds by reading;
-- they all carry the same hash tag, so they are in the same slot. Each step may be repeated: the client library retries
-- by itself, and a repeat must find its own work done rather than do it twice.
--
-- The names below are those of contracts/keys.py; tests/unit/contracts/test_functions.py holds the two together.

local function request_key(p, id) return p .. 'request:' .. id end
local function replies_key(p, id) return p .. 'replies:' .. id end
local function requests_key(p, model, class) return p .. 'requests:' .. model .. ':' .. class end
local function leases_key(p, model) return p .. 'leases:' .. model end
local function suspects_key(p, model) return p .. 'suspects:' .. model end
local function emptying_key(p, model) return p .. 'emptying:' .. model end
local function bell_key(p, model) return p .. 'bell:' .. model end
local function deadlines_key(p) return p .. 'deadlines' end
local function grants_key(p, worker) return p .. 'grants:' .. worker end
local function mailbox_key(p, access) return p .. 'mailbox:' .. access end
local function usage_key(p) return p .. 'usage' end
local function deadletters_key(p) return p .. 'deadletters' end
local function sweeping_key(p) return p .. 'sweeping' end
local function swept_key(p) return p .. 'swept' end
local function session_key(p, id) return p .. 'session:' .. id end
local function turns_key(p, id) return p .. 'turns:' .. id end
local function session_channel_key(p, id) return p .. 'said:' .. id end
local function finished_key(p, tenant) return p .. 'finished:' .. tenant end

local GROUP = 'workers'
local MAILBOX_LENGTH = 20000
local FINISHED_LENGTH = 10000
local BELL_LENGTH = 64

local ENDED = { done = true, incomplete = true, failed = true, cancelled = true, expired = true }
-- What a terminal letter means where nothing else is left to say it.
local END_OF = { f = 'done', x = 'failed', c = 'cancelled' }

-- A finished reply says it more exactly, in its third field.
local function end_of(letter, payload)
    if letter ~= 'f' then return END_OF[letter] end
    local readable, reply = pcall(cmsgpack.unpack, payload)
    return readable and reply[3] or END_OF[letter]
end

local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The number of the last reply (0: none) and, when that is the end, the state it means.
local function tail_of(p, id)
    local last = redis.call('XREVRANGE', replies_key(p, id), '+', '-', 'COUNT', 1)[1]
    if not last then return 0, nil end
    return tonumber(string.match(last[1], '^(%d+)')), end_of(string.sub(last[2][1], -1), last[2][2])
end

-- Whether stream id `one` stands behind `other`.
local function behind(one, other)
    local ms, number = string.match(one, '^(%d+)-(%d+)$')
    local other_ms, other_number = string.match(other, '^(%d+)-(%d+)$')
    if ms ~= other_ms then return tonumber(ms) > tonumber(other_ms) end
    return tonumber(number) > tonumber(other_number)
end

-- The named fields of a hash as a table; absent fields are absent, and so are empty ones: to empty fields and to set
-- others is one write, which cannot be torn.
local function read(key, ...)
    local names = { ... }
    local values = redis.call('HMGET', key, unpack(names))
    local found = {}
    for i, name in ipairs(names) do
        if values[i] and values[i] ~= '' then found[name] = values[i] end
    end
    return found
end

local function read_request(p, id)
    return read(request_key(p, id), 'state', 'model', 'class', 'tenant', 'session', 'generation', 'entry', 'retain',
        'followers', 'cancel', 'deadline', 'deaths', 'losses', 'taken', 'released', 'owner', 'error', 'kept', 'orphaned',
        'letter', 'turn', 'index')
end

local function ring(p, model)
    local bell = bell_key(p, model)
    if redis.call('LLEN', bell) < BELL_LENGTH then redis.call('LPUSH', bell, '1') end
end

-- What was just logged, to be told to whom it concerns: by access process a flat list of field, payload.
local function note(news, request, field, payload)
    for access in string.gmatch(request.followers or '', '%S+') do
        local its = news[access]
        if not its then
            its = {}
            news[access] = its
        end
        its[#its + 1] = field
        its[#its + 1] = payload
    end
end

-- Tell each follower its news, of many requests in one entry. NOMKSTREAM: the owner of a mailbox creates it and keeps it
-- alive, so a dead process's mailbox expires and is not filled again.
local function post(p, news)
    for access, its in pairs(news) do
        for first = 1, #its, 2000 do
            redis.call('XADD', mailbox_key(p, access), 'NOMKSTREAM', 'MAXLEN', '~', MAILBOX_LENGTH, '*',
                unpack(its, first, math.min(first + 1999, #its)))
        end
    end
end

local function add_follower(p, id, access)
    local followers = redis.call('HGET', request_key(p, id), 'followers') or ''
    if string.find(' ' .. followers .. ' ', ' ' .. access .. ' ', 1, true) then return end
    redis.call('HSET', request_key(p, id), 'followers', followers == '' and access or followers .. ' ' .. access)
end

-- Write one reply to the log and note it for the followers.
local function log_reply(p, id, request, seq, generation, letter, payload, news)
    local field = generation .. ':' .. letter
    redis.call('XADD', replies_key(p, id), seq .. '-0', field, payload)
    note(news, request, id .. ':' .. seq .. ':' .. field, payload)
end

local function enter_queue(p, id, model, class)
    local entry = redis.call('XADD', requests_key(p, model, class), '*', 'id', id)
    redis.call('HSET', request_key(p, id), 'entry', entry)
    ring(p, model)
end

local function leave_queue(p, request)
    if not request.entry then return end
    local queue = requests_key(p, request.model, request.class)
    redis.call('XACK', queue, GROUP, request.entry)
    redis.call('XDEL', queue, request.entry)
end

-- Something was said in a session. A hint for those who follow it: its stream is the truth.
local function hint(p, session)
    redis.call('PUBLISH', session_channel_key(p, session), '1')
end

-- Write an entry into a session's stream, which lives as long as its session. `length` bounds it; an end has none: the
-- question before it was bounded.
local function enter_turn(p, session, length, ...)
    local turns, bound = turns_key(p, session), length and { 'MAXLEN', '~', length, '*' } or { '*' }
    for _, part in ipairs({ ... }) do bound[#bound + 1] = part end
    local entry = redis.call('XADD', turns, unpack(bound))
    local ends = redis.call('PEXPIRETIME', session_key(p, session))
    if ends > 0 then redis.call('PEXPIREAT', turns, ends) end
    hint(p, session)
    return entry
end

-- Tell the services that watch this tenant of a finished turn, with the user's words. Without the stream nobody has
-- asked for it, and nothing is written.
local function announce(p, id, request, state, text)
    local finished = finished_key(p, request.tenant)
    if redis.call('EXISTS', finished) == 0 then return end
    local asked = request.turn and redis.call('XRANGE', turns_key(p, request.session), request.turn, request.turn)[1]
    redis.call('XADD', finished, 'MAXLEN', '~', FINISHED_LENGTH, '*', 'conversation', 'conv_' .. request.session,
        'response', 'resp_' .. id, 'status', state, 'question', asked and asked[2][6] or '', 'answer', text)
end

local function finish_turn(p, id, request, state, text)
    if not request.session then return end
    local session = session_key(p, request.session)
    if redis.call('HGET', session, 'busy') == id then redis.call('HDEL', session, 'busy') end
    if redis.call('EXISTS', session) == 0 then return end
    enter_turn(p, request.session, nil, 'type', 'turn.finished', 'request', id, 'status', state, 'text', text,
        'turn', request.turn or '')
    announce(p, id, request, state, text)
end

-- Note in the index of a user's requests when one will be gone, in ms. What is gone by now leaves.
local function note_gone(index, id, now, gone)
    redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
    redis.call('ZADD', index, gone, id)
    redis.call('PEXPIREAT', index, math.max(gone, redis.call('PEXPIRETIME', index)))
end

-- An ended request is kept for so long from now on.
local function keep_for(p, id, request, seconds)
    redis.call('EXPIRE', request_key(p, id), seconds)
    local now = now_ms()
    if request.index then note_gone(request.index, id, now, now + seconds * 1000) end
end

-- All that follows the terminal reply, which is in the log already. The state comes last, but for the deadline by which
-- a sweep finds the request: whoever finds an ended log under an unended state calls this again. A queued request's
-- entry stays for take to remove, because deleting an undelivered entry makes the stream's lag unknown.
local function settle_end(p, id, request, state, usage, text)
    if request.state ~= 'waiting' then finish_turn(p, id, request, state, text) end
    redis.call('XADD', usage_key(p), '*', 'id', id, 'tenant', request.tenant, 'model', request.model,
        'state', state, 'usage', usage)
    if request.state == 'running' then leave_queue(p, request) end
    redis.call('ZREM', leases_key(p, request.model), id)
    redis.call('ZREM', suspects_key(p, request.model), id)
    redis.call('EXPIRE', replies_key(p, id), request.retain)
    keep_for(p, id, request, 2 * request.retain)
    redis.call('HSET', request_key(p, id), 'state', state)
    redis.call('ZREM', deadlines_key(p), id)
end

-- End a request that no worker is generating: log the terminal reply under no generation, tell followers, settle. If the
-- log has ended already, that end counts.
local function end_idle(p, id, request, state, letter, payload)
    local seq, ended = tail_of(p, id)
    local news = {}
    if not ended then log_reply(p, id, request, seq + 1, '-', letter, payload, news) end
    settle_end(p, id, request, ended or state, '', '')
    post(p, news)
end

-- The worker that ran `id` is gone, or has lost its engine: it is fenced, and the next take may have the request.
local function disown(p, id, request)
    request.released = '1'
    redis.call('HSET', request_key(p, id), 'released', '1', 'generation', '')
    redis.call('ZADD', leases_key(p, request.model), 0, id)
    ring(p, request.model)
end

-- Note that a worker was lost over `request`; `blamed`: it counts as a death. Changes `request` likewise.
local function count_loss(p, id, request, blamed)
    request.losses = redis.call('HINCRBY', request_key(p, id), 'losses', 1)
    if blamed then request.deaths = redis.call('HINCRBY', request_key(p, id), 'deaths', 1) end
end
