-- append, renew, release: what the owner of a request may do, as long as it is the owner.

-- '' when `generation` may write, else why not. An ended log is said first: it is the better news.
local function refused(request, generation, ended)
    if ended then return 'ENDED' end
    if request.generation ~= generation or request.state ~= 'running' then return 'FENCED' end
    return ''
end

-- One request's part of an append. `at` points behind its header in args; answers status, tail, cancel flag.
local function append_one(p, args, at, header, lease_end)
    local id, generation, first, count, ends = unpack(header)
    local request = read_request(p, id)
    local seq, ended = tail_of(p, id)
    local why = refused(request, generation, ended)
    if why ~= '' then return { why, seq, '' } end
    if first > seq + 1 then return { 'GAP', seq, '' } end

    local news = {}
    for i = math.max(0, seq + 1 - first), count - 1 do
        log_reply(p, id, first + i, generation, args[at + 2 * i], args[at + 2 * i + 1], news)
        seq = first + i
    end
    if ends then
        local state, usage, text = unpack(args, at + 2 * count, at + 2 * count + 2)
        settle_end(p, id, request, state, usage, text)
    else
        redis.call('ZADD', leases_key(p, request.model), lease_end, id)
    end
    post(p, request, news)
    return { 'OK', seq, request.cancel or '' }
end

-- KEYS: prefix. ARGV: lease in ms; then for each request: id, generation, number of its first reply, count, '1' if the
-- last of them is the end else '0', count × (letter, payload), and for an end its state, usage, text of the answer.
-- Numbers that are in the log already are skipped, so a repeat is harmless; a hole is refused, so nothing is lost.
local function append(keys, args)
    local p, lease_end = keys[1], now_ms() + tonumber(args[1])
    local answers, at = {}, 2
    while at <= #args do
        local count, ends = tonumber(args[at + 3]), args[at + 4] == '1'
        local header = { args[at], args[at + 1], tonumber(args[at + 2]), count, ends }
        answers[#answers + 1] = append_one(p, args, at + 5, header, lease_end)
        at = at + 5 + 2 * count + (ends and 3 or 0)
    end
    return answers
end

-- KEYS: prefix. ARGV: lease in ms; then id, generation of each. Answers as append.
local function renew(keys, args)
    local p, lease_end = keys[1], now_ms() + tonumber(args[1])
    local answers = {}
    for at = 2, #args, 2 do
        local id, generation = args[at], args[at + 1]
        local request = read_request(p, id)
        local seq, ended = tail_of(p, id)
        local why = refused(request, generation, ended)
        if why == '' then redis.call('ZADD', leases_key(p, request.model), lease_end, id) end
        answers[#answers + 1] = { why == '' and 'OK' or why, seq, request.cancel or '' }
    end
    return answers
end

-- KEYS: prefix. ARGV: why the engine died ('' = it did not: the owner leaves), then id, generation of each. The owner
-- lets go: it is fenced at once, and the next take finds the lease expired. A dead engine is a death counted for each
-- (see take); leaving is none. Answers how many were let go.
local function release(keys, args)
    local p, died, released = keys[1], args[1], 0
    for at = 2, #args, 2 do
        local id, generation = args[at], args[at + 1]
        local request = read_request(p, id)
        if request.generation == generation and request.state == 'running' then
            if died ~= '' then
                count_loss(p, id, request, true)
                redis.call('HSET', request_key(p, id), 'error', died)
            end
            disown(p, id, request)
            released = released + 1
        end
    end
    return released
end
