-- takeover, keep, resign, commit: the gate's book, written by the one active limiter.
--
-- The limiter decides in memory and commits here, many decisions in one call. It signs each call with its tenure,
-- "<epoch>:<limiter>": where another limiter has taken over, nothing is written, and the signer learns it is deposed. A
-- verdict is stored, then published; the stored one is the truth, the published one a hint.
--
-- A tenant's sums hold at every moment, for each model, in tokens and in nanos (billionths of a unit of money):
-- granted = settled + reserved + refunded. A commit may be repeated (the client library retries): a reservation is made
-- and removed once, and levels are absolute.
--
-- The names below are those of contracts/keys.py, behind KEYS[1], the prefix "penstock:{gate}:".

local VERDICTS_CHANNEL = 'penstock:verdicts:'

local function active_key(p) return p .. 'active' end
local function epoch_key(p) return p .. 'epoch' end
local function verdict_key(p, id) return p .. 'verdict:' .. id end
local function ledger_key(p, tenant) return p .. 'ledger:' .. tenant end
local function spent_key(p, tenant, period) return p .. 'spent:' .. tenant .. ':' .. period end
local function levels_key(p, account) return p .. 'levels:' .. account end
local function estimates_key(p, tenant) return p .. 'estimates:' .. tenant end
local function reservations_key(p) return p .. 'reservations' end
local function commit_key(p) return p .. 'commit' end

local DAY_KEPT = 3 * 86400
local MONTH_KEPT = 63 * 86400
local ESTIMATES_KEPT = 30 * 86400
local COMMIT_KEPT = 3600

-- KEYS: prefix. ARGV: limiter, lock in ms. Answers epoch (0: another is active), Redis time in ms.
local function takeover(keys, args)
    local p, limiter, lock = keys[1], args[1], args[2]
    local epoch, holder = string.match(redis.call('GET', active_key(p)) or '', '^(%d+):(.*)$')
    if not epoch then
        epoch = redis.call('INCR', epoch_key(p))
    elseif holder ~= limiter then
        return { 0, now_ms() }
    end
    redis.call('SET', active_key(p), epoch .. ':' .. limiter, 'PX', lock)
    return { tonumber(epoch), now_ms() }
end

-- KEYS: prefix. ARGV: tenure, lock in ms. Answers 1 (still active) or 0, Redis time in ms.
local function keep(keys, args)
    local p, tenure, lock = keys[1], args[1], args[2]
    if redis.call('GET', active_key(p)) ~= tenure then return { 0, now_ms() } end
    redis.call('PEXPIRE', active_key(p), lock)
    return { 1, now_ms() }
end

-- KEYS: prefix. ARGV: tenure. Lets the next limiter in at once.
local function resign(keys, args)
    local p, tenure = keys[1], args[1]
    if redis.call('GET', active_key(p)) ~= tenure then return 0 end
    return redis.call('DEL', active_key(p))
end

-- A reservation is a msgpack array that begins with tokens, nanos, tenant, model (see Reservation in gate.py).
local function unpacked(reservation)
    local tokens, nanos, tenant, model = unpack(cmsgpack.unpack(reservation))
    return { tokens = tokens, nanos = nanos, tenant = tenant, model = model }
end

local function held_for(p, id)
    local reservation = redis.call('HGET', reservations_key(p), id)
    return reservation and unpacked(reservation)
end

-- Whole numbers of any size a double holds, never in scientific notation.
local function whole(number) return string.format('%.0f', number) end

-- Sums are added up over a commit and written at its end, once for each field: `sums` is key → field → by how much.
local function add_to(sums, key, field, by)
    local fields = sums[key] or {}
    fields[field] = (fields[field] or 0) + by
    sums[key] = fields
end

local function write_sums(sums)
    for key, fields in pairs(sums) do
        for field, by in pairs(fields) do
            if by ~= 0 then redis.call('HINCRBY', key, field, whole(by)) end
        end
    end
end

local function add(p, out, held, what, tokens, nanos)
    local ledger = ledger_key(p, held.tenant)
    if tokens ~= 0 then add_to(out.sums, ledger, what .. ':tokens:' .. held.model, tokens) end
    if nanos ~= 0 then add_to(out.sums, ledger, what .. ':nanos:' .. held.model, nanos) end
end

local function let_go(p, out, id, held)
    redis.call('HDEL', reservations_key(p), id)
    add(p, out, held, 'reserved', -held.tokens, -held.nanos)
end

-- A reservation turned out to need `tokens` and `nanos` less, or more where they are negative: what is beyond it counts
-- as granted after all.
local function give_back(p, out, held, tokens, nanos)
    add(p, out, held, tokens < 0 and 'granted' or 'refunded', math.abs(tokens), 0)
    add(p, out, held, nanos < 0 and 'granted' or 'refunded', 0, math.abs(nanos))
end

local function spend(p, out, tenant, period, tokens, nanos, kept)
    local key = spent_key(p, tenant, period)
    add_to(out.sums, key, 'tokens', tokens)
    add_to(out.sums, key, 'nanos', nanos)
    out.kept[key] = kept
end

local function renew_kept(kept)
    for key, seconds in pairs(kept) do redis.call('EXPIRE', key, seconds) end
end

local function store_verdict(p, id, attempt, decision, verdict, seconds)
    redis.call('HSET', verdict_key(p, id), 'attempt', attempt, 'decision', decision, 'verdict', verdict)
    redis.call('EXPIRE', verdict_key(p, id), seconds)
end

-- The verdict on `id` when it is final: what is decided once stays decided, whoever asks again; but a refusal says
-- nothing about an `attempt` that came after it. A grant stands until it is refunded.
local function final_verdict(p, id, attempt)
    local found = read(verdict_key(p, id), 'attempt', 'decision', 'verdict')
    if found.decision == 'granted' then return found.verdict end
    local later = attempt and tonumber(attempt) > tonumber(found.attempt or 0)
    if found.decision == 'refused' and not later then return found.verdict end
    return nil
end

local function tell(mail, access, verdict)
    mail[access] = mail[access] or {}
    table.insert(mail[access], verdict)
end

-- One message per access process: a msgpack array (of up to 65,535) of its verdicts.
local function publish(mail)
    for access, verdicts in pairs(mail) do
        local header = string.char(0xdc, math.floor(#verdicts / 256), #verdicts % 256)
        redis.call('PUBLISH', VERDICTS_CHANNEL .. access, header .. table.concat(verdicts))
    end
end

-- Note that a final verdict stood on `id` already, so that the limiter takes its own decision back; unless it is that very
-- decision, written by an earlier copy of this commit whose answer was lost.
local function was_known(out, id, stood, verdict)
    if stood ~= verdict then out.known[#out.known + 1] = id end
end

-- What a commit may hold. Each entry: how many arguments it has, and what it does with them.
local entries = {}

entries.answer = { 6, function(p, out, id, attempt, access, decision, verdict, seconds)
    local stood = final_verdict(p, id, attempt)
    if stood then
        was_known(out, id, stood, verdict)
        verdict = stood
    else
        store_verdict(p, id, attempt, decision, verdict, seconds)
    end
    tell(out.mail, access, verdict)
end }

entries.grant = { 6, function(p, out, id, attempt, access, verdict, seconds, reservation)
    local stood = final_verdict(p, id, attempt)
    if stood then
        was_known(out, id, stood, verdict)
        tell(out.mail, access, stood)
        return
    end
    local held = unpacked(reservation)
    redis.call('HSET', reservations_key(p), id, reservation)
    add_to(out.sums, ledger_key(p, held.tenant), 'requests:' .. held.model, 1)
    add(p, out, held, 'granted', held.tokens, held.nanos)
    add(p, out, held, 'reserved', held.tokens, held.nanos)
    store_verdict(p, id, attempt, 'granted', verdict, seconds)
    tell(out.mail, access, verdict)
end }

entries['repeat'] = { 2, function(p, out, id, access)
    local stood = final_verdict(p, id)
    if stood then tell(out.mail, access, stood) end
end }

-- The prompt is composed, and its reservation becomes another.
entries.correct = { 2, function(p, out, id, reservation)
    local before = held_for(p, id)
    if not before then return end
    local after = unpacked(reservation)
    local tokens, nanos = before.tokens - after.tokens, before.nanos - after.nanos
    redis.call('HSET', reservations_key(p), id, reservation)
    add(p, out, after, 'reserved', -tokens, -nanos)
    give_back(p, out, after, tokens, nanos)
end }

-- Real usage takes the place of the estimate, in the day and the month of the settlement.
entries.settle = { 5, function(p, out, id, tokens, nanos, day, month)
    local held = held_for(p, id)
    if not held then return end
    tokens, nanos = tonumber(tokens), tonumber(nanos)
    let_go(p, out, id, held)
    add(p, out, held, 'settled', tokens, nanos)
    give_back(p, out, held, held.tokens - tokens, held.nanos - nanos)
    spend(p, out, held.tenant, day, tokens, nanos, DAY_KEPT)
    spend(p, out, held.tenant, month, tokens, nanos, MONTH_KEPT)
end }

-- The verdict goes too: an ask for this id is weighed anew.
entries.refund = { 1, function(p, out, id)
    local held = held_for(p, id)
    if not held then return end
    let_go(p, out, id, held)
    add(p, out, held, 'refunded', held.tokens, held.nanos)
    redis.call('DEL', verdict_key(p, id))
end }

-- Kept until the buckets are full again: then they say nothing that a fresh one would not.
entries.level = { 5, function(p, _, account, tokens, requests, at, seconds)
    redis.call('HSET', levels_key(p, account), 'token_level', tokens, 'request_level', requests, 'level_at', at)
    redis.call('EXPIRE', levels_key(p, account), seconds)
end }

entries.learn = { 3, function(p, _, tenant, model, estimate)
    redis.call('HSET', estimates_key(p, tenant), model, estimate)
    redis.call('EXPIRE', estimates_key(p, tenant), ESTIMATES_KEPT)
end }

-- Whether a commit is one that came late: its retried copy has been answered, and others after it. It would set levels
-- back, and undo what was decided since.
local function came_late(p, tenure, number)
    local last = read(commit_key(p), 'tenure', 'number')
    if last.tenure == tenure and tonumber(number) < tonumber(last.number) then return true end
    redis.call('HSET', commit_key(p), 'tenure', tenure, 'number', number)
    redis.call('EXPIRE', commit_key(p), COMMIT_KEPT)
    return false
end

-- KEYS: prefix. ARGV: tenure, lock in ms, the commit's number in its tenure, then entries: name, its arguments. Answers
-- OK known-id… | DEPOSED.
local function commit(keys, args)
    local p, tenure, lock, number = keys[1], args[1], args[2], args[3]
    if redis.call('GET', active_key(p)) ~= tenure then return { 'DEPOSED' } end
    if came_late(p, tenure, number) then return { 'OK' } end
    redis.call('PEXPIRE', active_key(p), lock)
    local out, at = { known = {}, mail = {}, sums = {}, kept = {} }, 4
    while at <= #args do
        local count, act = unpack(entries[args[at]])
        act(p, out, unpack(args, at + 1, at + count))
        at = at + 1 + count
    end
    write_sums(out.sums)
    renew_kept(out.kept)
    publish(out.mail)
    return { 'OK', unpack(out.known) }
end
