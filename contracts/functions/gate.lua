-- takeover, keep, resign, commit: the gate's book, written by the one active limiter.
--
-- The limiter decides in memory and commits here, many decisions in one call. It signs each call with its tenure,
-- "<epoch>:<limiter>": where another limiter has taken over, nothing is written, and the signer learns it is deposed. A
-- verdict is stored, then published; the stored one is the truth, the published one a hint.
--
-- A tenant's sums hold at every moment: granted = settled + reserved + refunded. A commit may be repeated (the client
-- library retries): a reservation is made and removed once, and levels are absolute.
--
-- The names below are those of contracts/keys.py, behind KEYS[1], the prefix "penstock:{gate}:".

local VERDICTS_CHANNEL = 'penstock:verdicts:'

local function active_key(p) return p .. 'active' end
local function epoch_key(p) return p .. 'epoch' end
local function verdict_key(p, id) return p .. 'verdict:' .. id end
local function ledger_key(p, tenant) return p .. 'ledger:' .. tenant end
local function reservations_key(p) return p .. 'reservations' end

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

-- A reservation is the text "<tokens>:<grant end in ms>:<tenant>:<model>"; neither name may hold a colon.
local function reservation(p, id)
    local tokens, _, tenant = string.match(redis.call('HGET', reservations_key(p), id) or '', '^(%d+):(%d+):([^:]*):')
    if not tokens then return nil end
    return { tokens = tonumber(tokens), tenant = tenant }
end

local function store_verdict(p, id, decision, verdict, seconds)
    redis.call('HSET', verdict_key(p, id), 'decision', decision, 'verdict', verdict)
    redis.call('EXPIRE', verdict_key(p, id), seconds)
end

-- The verdict on `id` when it is final: what is decided once stays decided, whoever asks again.
local function final_verdict(p, id)
    local found = read(verdict_key(p, id), 'decision', 'verdict')
    if found.decision == 'granted' or found.decision == 'refused' then return found.verdict end
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

entries.answer = { 5, function(p, out, id, access, decision, verdict, seconds)
    local stood = final_verdict(p, id)
    if stood then
        was_known(out, id, stood, verdict)
        verdict = stood
    else
        store_verdict(p, id, decision, verdict, seconds)
    end
    tell(out.mail, access, verdict)
end }

entries.grant = { 8, function(p, out, id, access, verdict, seconds, tokens, grant_end, tenant, model)
    local stood = final_verdict(p, id)
    if stood then
        was_known(out, id, stood, verdict)
        tell(out.mail, access, stood)
        return
    end
    redis.call('HSET', reservations_key(p), id, tokens .. ':' .. grant_end .. ':' .. tenant .. ':' .. model)
    redis.call('HINCRBY', ledger_key(p, tenant), 'requests', 1)
    redis.call('HINCRBY', ledger_key(p, tenant), 'granted', tokens)
    redis.call('HINCRBY', ledger_key(p, tenant), 'reserved', tokens)
    store_verdict(p, id, 'granted', verdict, seconds)
    tell(out.mail, access, verdict)
end }

entries['repeat'] = { 2, function(p, out, id, access)
    local stood = final_verdict(p, id)
    if stood then tell(out.mail, access, stood) end
end }

-- Real usage takes the place of the estimate. What it used beyond it counts as granted after all.
entries.settle = { 2, function(p, _, id, used)
    local held = reservation(p, id)
    if not held then return end
    local ledger, spare = ledger_key(p, held.tenant), held.tokens - tonumber(used)
    redis.call('HDEL', reservations_key(p), id)
    redis.call('HINCRBY', ledger, 'reserved', -held.tokens)
    redis.call('HINCRBY', ledger, 'settled', used)
    redis.call('HINCRBY', ledger, spare < 0 and 'granted' or 'refunded', math.abs(spare))
end }

-- The verdict goes too: an ask for this id is weighed anew.
entries.refund = { 1, function(p, _, id)
    local held = reservation(p, id)
    if not held then return end
    local ledger = ledger_key(p, held.tenant)
    redis.call('HDEL', reservations_key(p), id)
    redis.call('HINCRBY', ledger, 'reserved', -held.tokens)
    redis.call('HINCRBY', ledger, 'refunded', held.tokens)
    redis.call('DEL', verdict_key(p, id))
end }

entries.level = { 4, function(p, _, tenant, tokens, requests, at)
    redis.call('HSET', ledger_key(p, tenant), 'token_level', tokens, 'request_level', requests, 'level_at', at)
end }

-- KEYS: prefix. ARGV: tenure, lock in ms, then entries: name, its arguments. Answers OK known-id… | DEPOSED.
local function commit(keys, args)
    local p, tenure, lock = keys[1], args[1], args[2]
    if redis.call('GET', active_key(p)) ~= tenure then return { 'DEPOSED' } end
    redis.call('PEXPIRE', active_key(p), lock)
    local out, at = { known = {}, mail = {} }, 3
    while at <= #args do
        local count, act = unpack(entries[args[at]])
        act(p, out, unpack(args, at + 1, at + count))
        at = at + 1 + count
    end
    publish(out.mail)
    return { 'OK', unpack(out.known) }
end
