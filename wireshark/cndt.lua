-- CNDT for Wireshark and tshark, both dialects: PROTOCOL.md is what this reads.
--
--     tshark -X lua_script:wireshark/cndt.lua -r capture.pcapng -2 -Y cndt
--
-- To have it always, copy it into the folder of personal Lua plugins (Help > About > Folders).
-- Connections are told by their first bytes, on any port; "Decode As" can name ports besides.
-- Needs Wireshark 3.6 or newer.

set_plugin_info({ version = "1.0.0", description = "CNDT RPC, dialects cndt and netconduit" })

local HEADER_LEN = 32
local MAGIC = "CNDT"
-- A payload is never longer, in bytes.
local FRAME_CEILING = 100 * 1024 * 1024
-- What of a text is shown in the tree, in bytes.
local TEXT_MAX = 4096

-- A test holds these tables against the implementation.
local TYPES = {
    cndt = {
        [0x01] = "MESSAGE", [0x02] = "RPC_REQUEST", [0x03] = "RPC_RESPONSE", [0x04] = "RPC_ERROR",
        [0x05] = "HEARTBEAT_PING", [0x06] = "HEARTBEAT_PONG", [0x07] = "PAUSE", [0x08] = "RESUME",
        [0x10] = "AUTH_REQUEST", [0x11] = "AUTH_SUCCESS", [0x12] = "AUTH_FAILURE",
        [0x13] = "AUTH_CHALLENGE", [0x14] = "AUTH_RESPONSE",
        [0x20] = "CLOSE", [0x21] = "CLOSE_ACK", [0x22] = "ACK", [0x23] = "NACK", [0x24] = "CANCEL",
        [0xFF] = "ERROR",
    },
    netconduit = {
        [0x01] = "MESSAGE", [0x02] = "RPC_REQUEST", [0x03] = "RPC_RESPONSE", [0x04] = "RPC_ERROR",
        [0x05] = "HEARTBEAT_PING", [0x06] = "HEARTBEAT_PONG",
        [0x07] = "AUTH_REQUEST", [0x08] = "AUTH_SUCCESS", [0x09] = "AUTH_FAILURE",
        [0x0A] = "PAUSE", [0x0B] = "RESUME", [0x0C] = "ACK", [0x0D] = "NACK",
        [0x0E] = "CLOSE", [0x0F] = "CLOSE_ACK", [0x10] = "RPC_LIST",
    },
}

-- By bit, the lowest first.
local FLAGS = {
    cndt = {
        [0] = "COMPRESSED", [1] = "ENCRYPTED", [2] = "PRIORITY_HIGH", [3] = "PRIORITY_LOW",
        [4] = "REQUIRES_ACK",
    },
    netconduit = {
        [0] = "COMPRESSED", [1] = "ENCRYPTED", [2] = "REQUIRES_ACK", [3] = "PRIORITY_HIGH",
        [4] = "FRAGMENT", [5] = "LAST_FRAGMENT", [6] = "BINARY",
    },
}

-- Where the fields of a header stand: offset and size in bytes.
local LAYOUT = {
    cndt = {
        version = { 4, 1 }, kind = { 5, 1 }, flags = { 6, 2 }, length = { 8, 4 },
        correlation = { 12, 8 }, timestamp = { 20, 8 }, reserved = { 28, 4 },
    },
    netconduit = {
        version = { 4, 2 }, kind = { 6, 2 }, flags = { 8, 2 }, length = { 12, 4 },
        correlation = { 16, 8 }, timestamp = { 24, 8 }, reserved = { 10, 2 },
    },
}

-- What is answered by what. Both carry the same correlation id, in opposite directions.
local ASKS = {
    RPC_REQUEST = "call", HEARTBEAT_PING = "ping", CLOSE = "close",
    AUTH_REQUEST = "login", AUTH_CHALLENGE = "login", AUTH_RESPONSE = "login",
}
local ANSWERS = {
    RPC_RESPONSE = "call", RPC_ERROR = "call", HEARTBEAT_PONG = "ping", CLOSE_ACK = "close",
    AUTH_CHALLENGE = "login", AUTH_RESPONSE = "login", AUTH_SUCCESS = "login",
    AUTH_FAILURE = "login", ACK = "ack", NACK = "ack",
}

local cndt = Proto("cndt", "CNDT RPC")

local f = {
    magic = ProtoField.string("cndt.magic", "Magic"),
    dialect = ProtoField.string("cndt.dialect", "Dialect"),
    version = ProtoField.uint16("cndt.version", "Version", base.HEX),
    kind = ProtoField.string("cndt.type", "Type"),
    code = ProtoField.uint16("cndt.type_code", "Type code", base.HEX),
    flags = ProtoField.uint16("cndt.flags", "Flags", base.HEX),
    unknown_flags = ProtoField.uint16("cndt.flags.unknown", "Unknown flags", base.HEX),
    length = ProtoField.uint32("cndt.length", "Payload length", base.DEC),
    correlation = ProtoField.uint64("cndt.correlation_id", "Correlation id", base.DEC),
    timestamp = ProtoField.absolute_time("cndt.timestamp", "Timestamp", base.UTC),
    reserved = ProtoField.uint32("cndt.reserved", "Reserved", base.HEX),
    payload = ProtoField.bytes("cndt.payload", "Payload"),
    garbage = ProtoField.bytes("cndt.garbage", "Bytes of no frame"),
    response_in = ProtoField.framenum("cndt.response_in", "Answered in", base.NONE,
        frametype.RESPONSE),
    request_in = ProtoField.framenum("cndt.request_in", "Answer to the frame in", base.NONE,
        frametype.REQUEST),
    response_time = ProtoField.relative_time("cndt.response_time", "Time since that frame"),
    -- What is asked for most: keys at the top of payloads.
    method = ProtoField.string("cndt.method", "Method"),
    message = ProtoField.string("cndt.message", "Message type"),
    success = ProtoField.bool("cndt.success", "Success"),
    error = ProtoField.string("cndt.error", "Error"),
    error_code = ProtoField.int64("cndt.error_code", "Error code"),
    reason = ProtoField.string("cndt.reason", "Reason"),
    -- Any value of a payload.
    text = ProtoField.string("cndt.value.text", "Text"),
    int = ProtoField.int64("cndt.value.int", "Integer"),
    uint = ProtoField.uint64("cndt.value.uint", "Integer"),
    float = ProtoField.double("cndt.value.float", "Number"),
    bool = ProtoField.bool("cndt.value.bool", "Boolean"),
    binary = ProtoField.bytes("cndt.value.binary", "Binary"),
}
local flag_fields = {}
for _, name in ipairs({
    "COMPRESSED", "ENCRYPTED", "PRIORITY_HIGH", "PRIORITY_LOW", "REQUIRES_ACK", "FRAGMENT",
    "LAST_FRAGMENT", "BINARY",
}) do
    flag_fields[name] = ProtoField.bool("cndt.flags." .. name:lower(), name)
end
local fields = {}
for _, field in pairs(f) do fields[#fields + 1] = field end
for _, field in pairs(flag_fields) do fields[#fields + 1] = field end
cndt.fields = fields

local e = {
    magic = ProtoExpert.new("cndt.expert.magic", "These bytes are no CNDT frame",
        expert.group.MALFORMED, expert.severity.ERROR),
    version = ProtoExpert.new("cndt.expert.version", "Unknown version, or the dialect has changed",
        expert.group.MALFORMED, expert.severity.ERROR),
    length = ProtoExpert.new("cndt.expert.length", "The payload is longer than any may be",
        expert.group.MALFORMED, expert.severity.ERROR),
    kind = ProtoExpert.new("cndt.expert.type", "Unknown type", expert.group.PROTOCOL,
        expert.severity.WARN),
    flags = ProtoExpert.new("cndt.expert.flags", "Unknown flags", expert.group.PROTOCOL,
        expert.severity.NOTE),
    reserved = ProtoExpert.new("cndt.expert.reserved", "Reserved bytes are not 0",
        expert.group.PROTOCOL, expert.severity.NOTE),
    payload = ProtoExpert.new("cndt.expert.payload", "The payload cannot be read",
        expert.group.MALFORMED, expert.severity.ERROR),
    cut = ProtoExpert.new("cndt.expert.cut", "The rest of the payload is not shown",
        expert.group.UNDECODED, expert.severity.NOTE),
    refused = ProtoExpert.new("cndt.expert.refused", "The answer is an error",
        expert.group.RESPONSE_CODE, expert.severity.NOTE),
}
local experts = {}
for _, one in pairs(e) do experts[#experts + 1] = one end
cndt.experts = experts

cndt.prefs.depth_max = Pref.uint("Deepest nesting of payloads shown", 64,
    "Values nested deeper are not shown")
cndt.prefs.values_max = Pref.uint("Values of a payload shown", 5000,
    "Values beyond it are not shown")
cndt.prefs.inflate_max = Pref.uint("Inflate payloads up to (KiB)", 1024,
    "Compressed payloads that are longer on the wire are left alone; 0: all are")

local stream_field = Field.new("tcp.stream")

-- Frames that wait for an answer, and pairs that were found: by connection, direction and id.
local waiting, answered_by, answer_to

function cndt.init()
    waiting, answered_by, answer_to = {}, {}, {}
end

-- The bytes of a field of this header.
local function place(tvb, dialect, name)
    local at = LAYOUT[dialect][name]
    return tvb(at[1], at[2])
end

-- The dialect of a header, or nil and why there is none. Reads the first 6 bytes.
local function dialect_of(tvb, offset)
    if tvb:len() - offset < 6 or tvb(offset, 4):string() ~= MAGIC then return nil, "magic" end
    local version, second = tvb(offset + 4, 1):uint(), tvb(offset + 5, 1):uint()
    if version ~= 1 then return nil, "version" end
    return second == 0 and "netconduit" or "cndt"
end

-- Bytes up to the next magic, or to the end: what cannot be read is shown as one piece.
local function garbage_len(tvb, offset)
    local left = tvb:len() - offset
    local found = left > 1 and tvb:raw(offset + 1):find(MAGIC, 1, true)
    return found or left
end

-- Whether these bytes may be the beginning of a header of which more is to come.
local function may_be_header(tvb, offset)
    local known = math.min(tvb:len() - offset, #MAGIC)
    return tvb(offset, known):string() == MAGIC:sub(1, known)
end

-- How long the piece is that begins here: a frame, or bytes of none. Nil until more bytes are there.
local function piece_len(tvb, offset)
    local left = tvb:len() - offset
    if not may_be_header(tvb, offset) then return garbage_len(tvb, offset) end
    if left < HEADER_LEN then return nil end
    local dialect = dialect_of(tvb, offset)
    if not dialect then return garbage_len(tvb, offset) end
    local length = tvb(offset + LAYOUT[dialect].length[1], 4):uint()
    if length > FRAME_CEILING then return math.max(garbage_len(tvb, offset), HEADER_LEN) end
    return HEADER_LEN + length
end

-- MessagePack -----------------------------------------------------------------------------------

-- Reads values one after the other, and adds them to a tree.
local Reader = {}
Reader.__index = Reader

local function new_reader(tvb)
    return setmetatable({ tvb = tvb, at = 0, values = 0, top = {} }, Reader)
end

-- `length` bytes, and behind them. Errors are tables: { what }.
function Reader:take(length)
    if length > self.tvb:len() - self.at then
        error({ "it ends inside a value, at byte " .. self.at })
    end
    local at = self.at
    self.at = at + length
    return at
end

function Reader:uint(size)
    local at = self:take(size)
    return self.tvb(at, size):uint()
end

-- By the first byte: what it is, and how long, or how many bytes tell how long.
local FIXED = {
    [0xCA] = { "float", 4 }, [0xCB] = { "float", 8 },
    [0xCC] = { "uint", 1 }, [0xCD] = { "uint", 2 }, [0xCE] = { "uint", 4 }, [0xCF] = { "uint", 8 },
    [0xD0] = { "int", 1 }, [0xD1] = { "int", 2 }, [0xD2] = { "int", 4 }, [0xD3] = { "int", 8 },
    [0xD4] = { "ext", 1 }, [0xD5] = { "ext", 2 }, [0xD6] = { "ext", 4 }, [0xD7] = { "ext", 8 },
    [0xD8] = { "ext", 16 },
}
local SIZED = {
    [0xC4] = { "binary", 1 }, [0xC5] = { "binary", 2 }, [0xC6] = { "binary", 4 },
    [0xC7] = { "ext", 1 }, [0xC8] = { "ext", 2 }, [0xC9] = { "ext", 4 },
    [0xD9] = { "text", 1 }, [0xDA] = { "text", 2 }, [0xDB] = { "text", 4 },
    [0xDC] = { "list", 2 }, [0xDD] = { "list", 4 }, [0xDE] = { "map", 2 }, [0xDF] = { "map", 4 },
}

-- What comes next, and its length in bytes or items.
function Reader:head()
    local at = self:take(1)
    local byte = self.tvb(at, 1):uint()
    if byte <= 0x7F then self.at = at return "int", 1 end
    if byte <= 0x8F then return "map", byte - 0x80 end
    if byte <= 0x9F then return "list", byte - 0x90 end
    if byte <= 0xBF then return "text", byte - 0xA0 end
    if byte >= 0xE0 then self.at = at return "int", 1 end
    if byte == 0xC0 then return "nil", 0 end
    if byte == 0xC2 or byte == 0xC3 then return "bool", byte - 0xC2 end
    if FIXED[byte] then return FIXED[byte][1], FIXED[byte][2] end
    if SIZED[byte] then return SIZED[byte][1], self:uint(SIZED[byte][2]) end
    error({ string.format("0x%02x at byte %d begins no value", byte, at) })
end

-- A number of `length` bytes at `at`, as it stands there.
function Reader:number(kind, at, length)
    local bytes = self.tvb(at, length)
    if kind == "float" then return f.float, bytes:float() end
    if length < 8 then return f.int, Int64.new(kind == "uint" and bytes:uint() or bytes:int()) end
    local is_beyond = kind == "uint" and self.tvb(at, 1):uint() >= 0x80
    if is_beyond then return f.uint, bytes:uint64() end
    return f.int, bytes:int64()
end

-- A value that holds no others into the tree; it began at `start`. Gives it.
function Reader:scalar(tree, kind, length, start, label)
    if kind == "nil" then
        tree:add(self.tvb(start, 1), label .. "nil")
        return nil
    elseif kind == "bool" then
        local is_true = length == 1
        tree:add(f.bool, self.tvb(start, 1), is_true):set_text(label .. tostring(is_true))
        return is_true
    end
    local tag = kind == "ext" and self.tvb(self:take(1), 1):int()
    local at = self:take(length)
    local range = self.tvb(start, self.at - start)
    if kind == "ext" or kind == "binary" then
        local words = tag and "extension " .. tag or "binary"
        tree:add(f.binary, range):set_text(label .. words .. ", " .. length .. " bytes")
        return nil
    elseif kind == "text" then
        local shown = math.min(length, TEXT_MAX)
        local text = shown > 0 and self.tvb(at, shown):string(ENC_UTF_8) or ""
        if shown < length then text = text .. "…" end
        tree:add(f.text, range, text):set_text(label .. '"' .. text .. '"')
        return text
    end
    local field, number = self:number(kind, at, length)
    tree:add(field, range, number):set_text(label .. tostring(number))
    return number
end

-- One value into the tree. Gives it, or, if it is a map, nil and the value of each key. Those of the
-- outermost map are in `top`, also when it is cut.
function Reader:value(tree, label, depth)
    self.values = self.values + 1
    if self.values > cndt.prefs.values_max or depth > cndt.prefs.depth_max then
        error({ cut = true })
    end
    local start = self.at
    local kind, length = self:head()
    if kind ~= "list" and kind ~= "map" then
        return self:scalar(tree, kind, length, start, label)
    end
    -- What it holds is not known yet, so its length is set at the end.
    local words = string.format("%s of %d", kind, length)
    local item = tree:add(self.tvb(start, self.at - start), label .. words)
    local known = {}
    if depth == 1 then self.top = known end
    for number = 1, length do
        if kind == "list" then
            self:value(item, string.format("[%d] ", number - 1), depth + 1)
        else
            local name = self:key(depth + 1)
            local value, inner = self:value(item, name .. ": ", depth + 1)
            known[name] = { value = value, inner = inner }
        end
    end
    item:set_len(self.at - start)
    return nil, known
end

-- A key: its words. Keys that are no text are shown as they are; those that hold others are not
-- read any further.
function Reader:key(depth)
    local start = self.at
    local kind, length = self:head()
    if kind == "text" then
        local at = self:take(length)
        local shown = math.min(length, TEXT_MAX)
        return shown > 0 and self.tvb(at, shown):string(ENC_UTF_8) or '""'
    elseif kind == "list" or kind == "map" or kind == "ext" or depth > cndt.prefs.depth_max then
        error({ cut = true })
    elseif kind == "nil" or kind == "bool" then
        return kind == "nil" and "nil" or tostring(length == 1)
    end
    self:take(length)
    return tostring(self.tvb(start, self.at - start):bytes())
end

-- Frames ----------------------------------------------------------------------------------------

-- Keys that have fields of their own, by the top map of a payload. What a netconduit answer wraps is
-- one level deeper.
local function add_known(tree, range, known, dialect)
    local inner = dialect == "netconduit" and known.result and known.result.inner or {}
    local function get(name, kind)
        for _, from in ipairs({ inner, known }) do
            local value = from[name] and from[name].value
            if type(value) == kind then return value end
        end
    end
    local found = {
        method = get("method", "string"), message = get("type", "string"),
        error = get("error", "string"), reason = get("reason", "string"),
        error_code = get("code", "userdata"), success = get("success", "boolean"),
    }
    for name, value in pairs(found) do
        tree:add(f[name], range, value):set_generated()
    end
    return found
end

-- The zlib stream's content; nil if it is none. The method has another name since Wireshark 4.4, and
-- asking for one that is not there is an error.
local function inflate(range)
    for _, name in ipairs({ "uncompress_zlib", "uncompress" }) do
        local is_there, method = pcall(function() return range[name] end)
        if is_there and method then
            local is_done, inflated = pcall(method, range, "CNDT payload, inflated")
            return is_done and inflated or nil
        end
    end
end

-- The payload as a tree. Gives the values of known keys.
local function dissect_payload(range, tree, dialect, flags)
    if flags.BINARY or flags.ENCRYPTED then return {} end
    local shown = range
    if flags.COMPRESSED then
        if range:len() > cndt.prefs.inflate_max * 1024 then
            tree:add_proto_expert_info(e.cut, "Compressed, and longer than the preference allows")
            return {}
        end
        local inflated = inflate(range)
        if not inflated then
            tree:add_proto_expert_info(e.payload, "The payload is no zlib stream")
            return {}
        end
        shown = inflated
    end
    local tvb = shown:tvb()
    local reader = new_reader(tvb)
    local is_whole, why = pcall(reader.value, reader, tree, "", 1)
    if is_whole and reader.at < tvb:len() then
        local rest = tvb:len() - reader.at
        tree:add_proto_expert_info(e.payload, rest .. " bytes follow the payload's one value")
    elseif not is_whole then
        -- Anything but a table is a fault of this file.
        if type(why) ~= "table" then error(why, 0) end
        if not why.cut then
            tree:add_proto_expert_info(e.payload, "The payload cannot be read: " .. why[1])
            return {}
        end
        tree:add_proto_expert_info(e.cut)
    end
    return add_known(tree, tvb(0, reader.at), reader.top, dialect)
end

-- What ties a frame to its answer: connection, direction, kind of exchange and id.
local function exchange_key(pinfo, exchange, id, is_answer)
    local stream = stream_field()
    local from = tostring(pinfo.src) .. " " .. pinfo.src_port
    local to = tostring(pinfo.dst) .. " " .. pinfo.dst_port
    if is_answer then from, to = to, from end
    return table.concat({ stream and tostring(stream.value) or "-", from, to, exchange, id }, "|")
end

local function link(pinfo, tree, header)
    local asks = { ASKS[header.name], header.flags.REQUIRES_ACK and "ack" or nil }
    local answers = ANSWERS[header.name]
    if answers then
        local key = exchange_key(pinfo, answers, header.id, true)
        local here = pinfo.number .. "|" .. key
        if not pinfo.visited and waiting[key] then
            answer_to[here] = waiting[key]
            answered_by[waiting[key].number .. "|" .. key] = pinfo.number
            waiting[key] = nil
        end
        local asked = answer_to[here]
        if asked then
            tree:add(f.request_in, asked.number):set_generated()
            local passed = pinfo.rel_ts - asked.time
            local seconds = math.floor(passed)
            local time = NSTime.new(seconds, math.floor((passed - seconds) * 1e9 + 0.5))
            tree:add(f.response_time, time):set_generated()
        end
    end
    for _, exchange in pairs(asks) do
        local key = exchange_key(pinfo, exchange, header.id, false)
        if not pinfo.visited then
            waiting[key] = { number = pinfo.number, time = pinfo.rel_ts }
        end
        local answer = answered_by[pinfo.number .. "|" .. key]
        if answer then tree:add(f.response_in, answer):set_generated() end
    end
end

local function dissect_flags(range, tree, dialect)
    local item = tree:add(f.flags, range)
    local left, set, names = range:uint(), {}, {}
    local bits = left
    for bit = 0, 15 do
        local name, is_set = FLAGS[dialect][bit], bits % 2 == 1
        bits = math.floor(bits / 2)
        if name then
            item:add(flag_fields[name], range, is_set)
            if is_set then
                set[name], names[#names + 1], left = true, name, left - 2 ^ bit
            end
        end
    end
    if left > 0 then
        item:add(f.unknown_flags, range, left)
        item:add_proto_expert_info(e.flags)
    end
    if #names > 0 then item:append_text(" (" .. table.concat(names, ", ") .. ")") end
    return set
end

local function dissect_header(tvb, tree, dialect)
    local function range(name) return place(tvb, dialect, name) end
    tree:add(f.magic, tvb(0, 4))
    tree:add(f.dialect, tvb(4, 2), dialect):set_generated()
    tree:add(f.version, range("version"))
    local code = range("kind"):uint()
    local name = TYPES[dialect][code]
    local kind = tree:add(f.kind, range("kind"), name or string.format("UNKNOWN_0x%02x", code))
    if not name then kind:add_proto_expert_info(e.kind) end
    tree:add(f.code, range("kind"))
    local flags = dissect_flags(range("flags"), tree, dialect)
    local length = tree:add(f.length, range("length"))
    tree:add(f.correlation, range("correlation"))
    local millis = range("timestamp"):uint64()
    local seconds, rest = (millis / 1000):tonumber(), (millis % 1000):tonumber()
    -- A clock may say anything; beyond this Wireshark has no form for it.
    if seconds < 2 ^ 31 then
        tree:add(f.timestamp, range("timestamp"), NSTime.new(seconds, rest * 1000000))
    else
        tree:add(range("timestamp"), "Timestamp: " .. tostring(millis) .. " ms")
    end
    local reserved = tree:add(f.reserved, range("reserved"))
    if range("reserved"):uint() ~= 0 then reserved:add_proto_expert_info(e.reserved) end
    return {
        name = name or string.format("UNKNOWN_0x%02x", code),
        flags = flags,
        length = range("length"):uint(),
        length_item = length,
        id = tostring(range("correlation"):uint64()),
    }
end

-- Whether the column of this packet still says what TCP put there.
local is_fresh = true

local function say(pinfo, words)
    pinfo.cols.protocol = "CNDT"
    if is_fresh then
        pinfo.cols.info:set(words)
        is_fresh = false
    else
        pinfo.cols.info:append(", " .. words)
    end
end

local function dissect_garbage(tvb, pinfo, tree, why)
    local item = tree:add(cndt, tvb(), "CNDT RPC, not a frame")
    item:add(f.garbage, tvb())
    item:add_proto_expert_info(e[why])
    say(pinfo, "[not a CNDT frame]")
end

local function dissect_frame(tvb, pinfo, tree)
    local dialect, why = dialect_of(tvb, 0)
    if not dialect or tvb:len() < HEADER_LEN then
        dissect_garbage(tvb, pinfo, tree, why or "magic")
        return tvb:len()
    end
    local item = tree:add(cndt, tvb())
    local header = dissect_header(tvb, item, dialect)
    local words = header.name
    if header.length > FRAME_CEILING then
        header.length_item:add_proto_expert_info(e.length)
        say(pinfo, words .. " [length " .. header.length .. "]")
        return tvb:len()
    end
    local known = {}
    if header.length > 0 and tvb:len() > HEADER_LEN then
        local range = tvb(HEADER_LEN)
        local payload = item:add(f.payload, range)
        payload:set_text("Payload, " .. header.length .. " bytes")
        known = dissect_payload(range, payload, dialect, header.flags)
        if known.success == false or header.name == "AUTH_FAILURE" then
            payload:add_proto_expert_info(e.refused)
        end
    end
    link(pinfo, item, header)
    for _, name in ipairs({ "method", "message", "error", "reason" }) do
        if known[name] then words = words .. " " .. known[name] end
    end
    if header.id ~= "0" then words = words .. " #" .. header.id end
    item:append_text(", " .. dialect .. ", " .. words)
    say(pinfo, words)
    return tvb:len()
end

-- `dissect_tcp_pdus` would give up at a piece that is shorter than a header.
local function dissect(tvb, pinfo, tree)
    is_fresh = true
    local offset, length = 0, tvb:len()
    while offset < length do
        local piece = piece_len(tvb, offset)
        local left = length - offset
        if not piece or piece > left then
            if pinfo.can_desegment > 0 then
                pinfo.desegment_offset = offset
                pinfo.desegment_len = piece and piece - left or DESEGMENT_ONE_MORE_SEGMENT
                break
            end
            piece = left
        end
        dissect_frame(tvb(offset, piece):tvb(), pinfo, tree)
        offset = offset + piece
    end
    if not is_fresh then pinfo.cols.info:fence() end
    return length
end

function cndt.dissector(tvb, pinfo, tree)
    return dissect(tvb, pinfo, tree)
end

-- Takes a connection whose bytes begin like a frame, and keeps it. Called through `cndt.dissector` it
-- could not wait for more bytes: one level only may.
local function heuristic(tvb, pinfo, tree)
    if not dialect_of(tvb, 0) then return false end
    pinfo.conversation = cndt
    dissect(tvb, pinfo, tree)
    return true
end

cndt:register_heuristic("tcp", heuristic)
DissectorTable.get("tcp.port"):add_for_decode_as(cndt)
