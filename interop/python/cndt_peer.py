"""A small peer of the CNDT protocol, dialect `cndt`: a client and a server over blocking sockets and threads.

    cndt_peer.py client PORT PASSWORD [USER]
    cndt_peer.py server PASSWORD ITERATIONS [WRONG_SIGNATURE]

Both print JSON, a value per line. The client's exit status is 0, or 3 if it was refused, 4 if the server did not prove
itself, 5 (and `failed`) if the login broke off in another way.
"""

import base64, collections, hashlib, hmac, itertools, json, os, queue, re, select, socket, struct, sys, threading, time
from concurrent.futures import Future
from contextlib import suppress
import msgpack

MESSAGE, RPC_REQUEST, RPC_RESPONSE, RPC_ERROR, PING, PONG, PAUSE, RESUME = range(1, 9)
AUTH_REQUEST, AUTH_SUCCESS, AUTH_FAILURE, AUTH_CHALLENGE, AUTH_RESPONSE = range(0x10, 0x15)
CLOSE, CLOSE_ACK, ACK, NACK = range(0x20, 0x24)
COMPRESSED, REQUIRES_ACK = 0x0001, 0x0010
HEADER = struct.Struct(">4sBBHIQQI")
FRAME_MAX, PREAUTH_MAX, ITERATIONS_MIN, ITERATIONS_MAX = 10 << 20, 8 << 10, 100_000, 2_000_000
LOGIN, FRAME_DEADLINE, FRAME_RATE, REFUSAL_DELAY = 10, 10, 16 << 10, 0.5
INTERVAL, DEAD, STALL, DRAIN, LINGER, PATIENCE = 30, 90, 30, 5, 1, 10
MECH, CAPS, INFO = "SCRAM-SHA-256", {"max_frame": FRAME_MAX, "zlib": False}, {"name": "cndt_peer", "version": "1.0.0"}


class Gone(Exception):
    """The stream has ended, or must be ended without a word."""


class Malformed(ValueError):
    """A payload or text that cannot be read, or a frame out of its place."""


class Refused(Exception):
    """A login that the server refuses: code, reason."""


class Impostor(Exception):
    """The server did not prove that it knows the password."""


class RpcError(Exception):
    """An error as the answer to a call: code, message, and details or None."""


# ------------------------------------------------------------------------------------------------ frames and payloads

Frame = collections.namedtuple("Frame", "type flags id reserved payload raw")


def frame(kind, ident=0, payload=b"", flags=0, timestamp=None):
    """The bytes of one frame."""
    timestamp = int(time.time() * 1000) if timestamp is None else timestamp
    return HEADER.pack(b"CNDT", 1, kind, flags, len(payload), ident, timestamp, 0) + payload


def no_key_twice(pairs):
    """A decoded map."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def decode(got):
    """The map in a frame."""
    try:
        value = msgpack.unpackb(got.payload, object_pairs_hook=no_key_twice, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Malformed(f"not MessagePack: {error}") from None
    if got.flags & COMPRESSED or not isinstance(value, dict):
        raise Malformed("compressed, or not a map")
    return value


def take(fields, kind, key, *default):
    """The value of a key, which must be of that type (exactly: True is no integer)."""
    value = fields.get(key, *default)
    if type(value) is not kind:
        raise Malformed("missing or of a wrong type: " + key)
    return value


class Link:
    """Whole frames from a socket."""

    def __init__(self, sock):
        sock.settimeout(STALL)
        self.sock, self.write = sock, sock.sendall

    def receive(self, size, deadline):
        """At least one byte, at most `size`, before the deadline."""
        wait = deadline - time.monotonic()
        if wait <= 0 or not select.select([self.sock], [], [], wait)[0]:
            raise Gone("too late")
        data = self.sock.recv(size)
        if not data:
            raise Gone("end of the stream")
        return data

    def read(self, limit, begin, complete=float("inf")):
        """The next frame, which begins before `begin` and is there as a whole before `complete`."""
        head, deadline = b"", begin
        while len(head) < HEADER.size:
            begun, head = len(head), head + self.receive(HEADER.size - len(head), deadline)
            if head[:5] != b"CNDT\x01"[:len(head)] or head[5:6] == b"\0":
                raise Gone("no frame of this dialect")
            if not begun:
                deadline = min(complete, time.monotonic() + FRAME_DEADLINE)
        _, _, kind, flags, length, ident, _, reserved = HEADER.unpack(head)
        if length > limit:
            raise Gone("too long")
        deadline, payload = min(complete, deadline + length / FRAME_RATE), bytearray()
        while len(payload) < length:
            payload += self.receive(min(length - len(payload), 1 << 16), deadline)
        return Frame(kind, flags, ident, reserved, bytes(payload), head + payload)

    def finish(self):
        """Ends the own direction, waits a moment for the end of the other, closes."""
        deadline = time.monotonic() + LINGER
        with suppress(Gone, OSError):
            self.sock.shutdown(socket.SHUT_WR)
            while self.receive(1 << 16, deadline):
                pass
        self.sock.close()


# -------------------------------------------------------------------------------------------------------------- login

EXTENSIONS, CHAR, USER_CHAR = r"(?:,[A-Za-ln-z]=[^,]*)*", r"[!-+\--~]", r"(?:[ -+\--<>-~]|=2C|=3D)"
CLIENT_FIRST = rf"(n,,|y,,|p=tls-exporter,,)(n=({USER_CHAR}{{1,64}}),r=({CHAR}{{18,256}}){EXTENSIONS})"
SERVER_FIRST = rf"r=({CHAR}+),s=([^,]+),i=([1-9][0-9]{{0,9}}){EXTENSIONS}"
CLIENT_FINAL = rf"(c=([^,]+),r=({CHAR}+),t=([^,]+){EXTENSIONS}),p=([^,]+)"
SERVER_FINAL = rf"v=([^,]+){EXTENSIONS}"


def b64(data):
    """Base64 with padding, as text."""
    return base64.b64encode(data).decode()


def unb64(value):
    """The bytes of a base64 text in its only spelling."""
    with suppress(ValueError):
        data = base64.b64decode(value, validate=True)
        if b64(data) == value:
            return data
    raise Malformed("no base64")


def mac(key, value):
    """HMAC-SHA256 over bytes or a text."""
    return hmac.digest(key, value.encode() if isinstance(value, str) else value, "sha256")


def xor(left, right):
    """Byte for byte."""
    return bytes(a ^ b for a, b in zip(left, right))


def derive(password, salt, iterations):
    """(ClientKey, StoredKey, ServerKey) of a password."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations, 32)
    client_key = mac(salted, "Client Key")
    return client_key, hashlib.sha256(client_key).digest(), mac(salted, "Server Key")


def transcript(request, challenge):
    """The text `t` for the two frames as they were on the wire."""
    return b64(hashlib.sha256(b"CNDT-AUTH-T1\0" + request + challenge).digest())


def scram(fields, pattern):
    """The text `scram` and its parts."""
    match = re.fullmatch(pattern, take(fields, str, "scram"))
    if not match:
        raise Malformed("malformed text")
    return match[0], *match.groups()


def login_payload(got, kind, ident):
    """The map in a frame of a login, which must have its place there."""
    if got.flags & COMPRESSED:
        raise Gone("compressed")
    if (got.type, got.flags, got.reserved, got.id) != (kind, 0, 0, ident) or not ident:
        raise Malformed("a frame out of its place")
    return decode(got)


def max_frame(fields):
    """The longest payload that the other side reads."""
    caps = take(fields, dict, "caps", {})
    take(caps, bool, "zlib", False)
    return take(caps, int, "max_frame", FRAME_MAX)


def info(fields, key):
    """Name and version of the other side, as far as told."""
    told = take(fields, dict, key, {})
    if any(len(take(told, str, name, "").encode()) > 512 for name in INFO):
        raise Malformed("too long: " + key)
    return {name: told[name] for name in INFO if name in told}


def client_login(link, password, user):
    """Logs in; returns (the server's info, its longest payload). Believes nothing before the signature fits."""
    deadline, ident, cnonce = time.monotonic() + LOGIN, 1, b64(os.urandom(32))

    def receive(kind):
        got = link.read(PREAUTH_MAX, deadline, deadline)
        if got.type == AUTH_FAILURE:
            told = login_payload(got, AUTH_FAILURE, ident)
            raise Refused(take(told, str, "code"), take(told, str, "reason"))
        if got.type == AUTH_SUCCESS != kind:
            raise Impostor
        return got, login_payload(got, kind, ident)

    bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={cnonce}"
    first = {"mechs": [MECH], "scram": "n,," + bare, "caps": CAPS, "client_info": INFO}
    request = frame(AUTH_REQUEST, ident, msgpack.packb(first))
    link.write(request)

    challenge, fields = receive(AUTH_CHALLENGE)
    server_first, nonce, salt, iterations = scram(fields, SERVER_FIRST)
    salt, iterations, most = unb64(salt), int(iterations), max_frame(fields)
    if fields.get("mech") != MECH or not nonce.startswith(cnonce) or not 18 <= len(nonce) - len(cnonce) <= 256:
        raise Malformed("another mechanism or nonce")
    if not 16 <= len(salt) <= 64 or not ITERATIONS_MIN <= iterations <= ITERATIONS_MAX:
        raise Malformed("salt or iterations out of bounds")
    client_key, stored_key, server_key = derive(password, salt, iterations)
    final = f"c={b64(b'n,,')},r={nonce},t={transcript(request, challenge.raw)}"
    auth_message = f"{bare},{server_first},{final}"
    proof = b64(xor(client_key, mac(stored_key, auth_message)))
    link.write(frame(AUTH_RESPONSE, ident, msgpack.packb({"scram": f"{final},p={proof}"})))

    _, fields = receive(AUTH_SUCCESS)
    try:
        proven = hmac.compare_digest(unb64(scram(fields, SERVER_FINAL)[1]), mac(server_key, auth_message))
    except Malformed:
        proven = False
    if not proven:
        raise Impostor
    return info(fields, "server_info"), most


class Account:
    """What a server keeps: the keys of the user `default`, and a secret for the salts of everybody else."""

    def __init__(self, password, iterations, lies=False):
        self.iterations, self.lies, self.secret, self.salt = iterations, lies, os.urandom(32), os.urandom(16)
        _, self.stored_key, self.server_key = derive(password, self.salt, iterations)

    def find(self, user):
        """(salt, StoredKey, ServerKey) of a user; a constant salt and keys that fit nothing, if there is none."""
        if user == "default":
            return self.salt, self.stored_key, self.server_key
        return mac(self.secret, user)[:16], os.urandom(32), os.urandom(32)

    def login(self, link):
        """Lets a client log in; returns (user, its info, its longest payload). Tells a refusal, then raises it."""
        deadline = time.monotonic() + LOGIN
        request = link.read(PREAUTH_MAX, deadline, deadline)
        try:
            try:
                return self.exchange(link, request, deadline)
            except Malformed as error:
                raise Refused("protocol", str(error)) from None
        except Refused as refusal:
            code, reason = refusal.args
            time.sleep(REFUSAL_DELAY if code == "auth_failed" else 0)
            link.write(frame(AUTH_FAILURE, request.id, msgpack.packb({"reason": reason, "code": code})))
            raise

    def exchange(self, link, request, deadline):
        """The login from AUTH_REQUEST to AUTH_SUCCESS."""
        fields = login_payload(request, AUTH_REQUEST, request.id)
        _, gs2, bare, user, cnonce = scram(fields, CLIENT_FIRST)
        mechs, client_info, most = take(fields, list, "mechs")[:16], info(fields, "client_info"), max_frame(fields)
        if gs2.startswith("p") or MECH not in mechs:
            raise Refused("mech_required", "this server takes " + MECH)
        user = user.replace("=2C", ",").replace("=3D", "=")
        salt, stored_key, server_key = self.find(user)
        nonce = cnonce + b64(os.urandom(32))
        server_first = f"r={nonce},s={b64(salt)},i={self.iterations}"
        answer = {"mech": MECH, "mechs": [MECH], "scram": server_first, "caps": CAPS}
        challenge = frame(AUTH_CHALLENGE, request.id, msgpack.packb(answer))
        link.write(challenge)

        fields = login_payload(link.read(PREAUTH_MAX, deadline, deadline), AUTH_RESPONSE, request.id)
        _, final, *echoed, proof = scram(fields, CLIENT_FINAL)
        proof, auth_message = unb64(proof), f"{bare},{server_first},{final}"
        if len(proof) != 32 or echoed != [b64(gs2.encode()), nonce, transcript(request.raw, challenge)]:
            raise Malformed("not of this exchange")
        client_key = xor(proof, mac(stored_key, auth_message))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key):
            raise Refused("auth_failed", "user or password is wrong")
        signature = os.urandom(32) if self.lies else mac(server_key, auth_message)
        answer = {"scram": "v=" + b64(signature), "session_token": os.urandom(64).hex(), "server_info": INFO}
        link.write(frame(AUTH_SUCCESS, request.id, msgpack.packb(answer)))
        return user, client_info, most


# ----------------------------------------------------------------------------------------------------- open connection

class Peer:
    """One side of an open connection. Handlers run in the thread that reads.

    `methods` maps names to functions of the params, `messages` types to functions of the data; what the latter return,
    unless None, is sent back as `<type>_response`.
    """

    def __init__(self, link, most, methods, messages):
        self.link, self.most, self.methods, self.messages = link, most, methods, messages
        self.ids, self.calls, self.acks, self.lock = itertools.count(1), {}, {}, threading.Lock()
        self.running, self.pong, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.closing = False
        self.running.set()
        threading.Thread(target=self.beat, daemon=True).start()

    def send(self, kind, ident=0, value=None, flags=0):
        """Sends a frame, one of MESSAGE and RPC_REQUEST not while paused."""
        payload = msgpack.packb(value) if kind <= RPC_ERROR else b""
        if len(payload) > self.most:
            raise ValueError("longer than the other side reads")
        if kind in (MESSAGE, RPC_REQUEST):
            self.running.wait()
        with self.lock:
            self.link.write(frame(kind, ident, payload, flags))

    def ask(self, waiting, kind, value, flags=0):
        """Sends a frame under a new correlation id and waits for what answers it."""
        ident = next(self.ids)
        future = waiting[ident] = Future()
        self.send(kind, ident, value, flags)
        return future.result(PATIENCE)

    def call(self, method, params=None):
        """The result of a method of the other side, or RpcError."""
        return self.ask(self.calls, RPC_REQUEST, {"method": method, "params": params})

    def message_taken(self, kind, data):
        """Sends a message and waits; whether it was taken."""
        return self.ask(self.acks, MESSAGE, {"type": kind, "data": data}, REQUIRES_ACK)

    def ping(self):
        """Whether a pong comes."""
        self.pong.clear()
        self.send(PING)
        return self.pong.wait(PATIENCE)

    def close(self):
        """Sends CLOSE and waits until the connection has ended."""
        self.closing = True
        with suppress(OSError):
            self.send(CLOSE)
        self.ended.wait(DRAIN + LINGER)

    def beat(self):
        """A ping every interval."""
        with suppress(OSError):
            while not self.ended.wait(INTERVAL):
                self.send(PING)

    def run(self):
        """Reads and serves until the connection ends."""
        with suppress(Gone, OSError):
            while True:
                self.act(self.link.read(FRAME_MAX, time.monotonic() + DEAD))
        self.link.finish()
        self.ended.set()
        for future in [*self.calls.values(), *self.acks.values()]:
            if not future.done():
                future.set_exception(ConnectionError("the connection has ended"))

    def act(self, got):
        """Acts on one frame. Acknowledgements of nothing, reserved and unknown types are skipped."""
        if got.type == MESSAGE:
            self.act_on_message(got)
        elif got.type == RPC_REQUEST:
            self.act_on_request(got)
        elif got.type in (RPC_RESPONSE, RPC_ERROR):
            self.act_on_answer(got)
        elif got.type == PING:
            self.send(PONG)
        elif got.type == PONG:
            self.pong.set()
        elif got.type == PAUSE:
            self.running.clear()
        elif got.type == RESUME:
            self.running.set()
        elif got.type in (ACK, NACK) and got.id in self.acks:
            self.acks.pop(got.id).set_result(got.type == ACK)
        elif got.type == CLOSE:
            self.send(CLOSE_ACK)
            raise Gone("closed by the other side")
        elif got.type == CLOSE_ACK and self.closing:
            raise Gone("closed")

    def opened(self, got, key):
        """The text that a MESSAGE or RPC_REQUEST must have, and its map; acknowledges the frame where asked."""
        answer = NACK
        try:
            fields = decode(got)
            name, answer = take(fields, str, key), ACK
            return name, fields
        finally:
            if got.flags & REQUIRES_ACK and got.id:
                self.send(answer, got.id)

    def act_on_message(self, got):
        """Handles a message; one that cannot be read, or that a handler fails at, goes unanswered."""
        try:
            kind, fields = self.opened(got, "type")
            value = self.messages[kind](fields.get("data")) if kind in self.messages else None
        except (Malformed, TypeError, LookupError):
            return
        answer = MESSAGE, 0, {"type": kind + "_response", "data": value}
        if value is not None and not self.closing and self.running.is_set():
            self.send(*answer)
        elif value is not None and not self.closing:
            threading.Thread(target=self.send, args=answer, daemon=True).start()

    def act_on_request(self, got):
        """Answers a call."""
        if not got.id:
            raise Gone("a request without an id")
        try:
            name, fields = self.opened(got, "method")
            if self.closing:
                raise RpcError(5000, "closing", None)
            if name not in self.methods:
                raise RpcError(4000, "no such method: " + name, None)
            result = self.methods[name](fields.get("params"))
            return self.send(RPC_RESPONSE, got.id, {"success": True, "result": result})
        except RpcError as error:
            code, message, details = error.args
        except Malformed as error:
            code, message, details = 4001, str(error), None
        except (ValueError, TypeError, OverflowError) as error:
            code, message, details = 1001, str(error), None
        value = {"success": False, "error": message, "code": code}
        self.send(RPC_ERROR, got.id, value if details is None else {**value, "details": details})

    def act_on_answer(self, got):
        """Hands an answer to its call; a second one is dropped."""
        future = self.calls.get(got.id)
        if future is None:
            raise Gone("an answer to no call")
        if future.done():
            return
        try:
            fields = decode(got)
            if got.type == RPC_RESPONSE:
                return future.set_result(fields.get("result"))
            error = RpcError(take(fields, int, "code", 1000), take(fields, str, "error"), fields.get("details"))
        except Malformed as malformed:
            error = RpcError(1000, str(malformed), None)
        future.set_exception(error)


# ------------------------------------------------------------------------------------------------------- command line

def show(**line):
    """Prints a line of JSON."""
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


def client(port, password, user="default"):
    """Logs in, goes through the steps, then waits for a line on stdin or the end of the connection."""
    try:
        link = Link(socket.create_connection(("127.0.0.1", int(port))))
        server_info, most = client_login(link, password, user)
    except Refused as refusal:
        show(refused=dict(zip(("code", "reason"), refusal.args)))
        return 3
    except Impostor:
        show(impostor=True)
        return 4
    except (Malformed, Gone, OSError) as error:
        show(failed=str(error))
        return 5
    responses = queue.Queue()
    peer = Peer(link, most, {"whoami": lambda params: "python"}, {"greeting_response": responses.put})
    threading.Thread(target=peer.run, daemon=True).start()
    show(opened={"server": server_info})
    show(result=peer.call("add", {"a": 10, "b": 20}))
    try:
        show(result=peer.call("nope"))
    except RpcError as error:
        show(error={"code": error.args[0], "message": error.args[1]})
    peer.send(MESSAGE, 0, {"type": "greeting", "data": {"name": "World"}})
    show(message={"type": "greeting_response", "data": responses.get(timeout=PATIENCE)})
    show(ack=peer.message_taken("greeting", {"name": "World"}))
    show(pong=peer.ping())
    while not peer.ended.is_set():
        if select.select([sys.stdin], [], [], 0.1)[0]:
            sys.stdin.readline()
            peer.close()
            break
    show(closed=True)
    return 0


def add(params):
    """The sum of a and b."""
    try:
        return params["a"] + params["b"]
    except (TypeError, KeyError, IndexError):
        raise RpcError(4001, "add takes numbers a and b", None) from None


def fail(params):
    """Always an error."""
    raise RpcError(4711, "failed as asked", {"why": "because"})


METHODS = {"add": add, "echo": lambda params: params, "fail": fail}
MESSAGES = {"greeting": lambda data: {"reply": f"Hello, {data['name']}!"}}


def serve(link, account):
    """One connection, from the login to its end."""
    try:
        user, client_info, most = account.login(link)
    except (Refused, Gone, OSError) as error:
        show(refused=error.args[0] if isinstance(error, Refused) else None)
        return link.finish()
    show(opened={"user": user, "client": client_info})
    Peer(link, most, METHODS, MESSAGES).run()


def server(password, iterations, lies=None):
    """Serves until it is stopped."""
    account, listener = Account(password, int(iterations), lies is not None), socket.create_server(("127.0.0.1", 0))
    show(port=listener.getsockname()[1])
    while True:
        threading.Thread(target=serve, args=(Link(listener.accept()[0]), account), daemon=True).start()


if __name__ == "__main__":
    sys.exit({"client": client, "server": server}[sys.argv[1]](*sys.argv[2:]))
