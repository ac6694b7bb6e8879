"""A peer of dialect `cndt`, written from PROTOCOL.md alone, on nothing but the standard library and msgpack.

    cndt_peer.py client PORT PASSWORD [USER]
    cndt_peer.py server PASSWORD ITERATIONS [forge]

Prints one JSON object per line for everything that happens. The client ends at a line on its stdin.
`forge` makes the server sign wrongly, as an impostor would have to.
"""

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import sys
import threading
import time

import msgpack

MESSAGE, RPC_REQUEST, RPC_RESPONSE, RPC_ERROR, PING, PONG, PAUSE, RESUME = range(1, 9)
AUTH_REQUEST, AUTH_SUCCESS, AUTH_FAILURE, AUTH_CHALLENGE, AUTH_RESPONSE = range(0x10, 0x15)
CLOSE, CLOSE_ACK, ACK, NACK = range(0x20, 0x24)
REQUIRES_ACK = 0x10
HEADER = struct.Struct(">4sBBHIQQI")
MECHANISM = "SCRAM-SHA-256"
CAPS = {"max_frame": 1 << 20, "zlib": False}


def tell(**what):
    print(json.dumps(what), flush=True)


def b64(data):
    return base64.b64encode(data).decode()


def sign(key, text):
    return hmac.new(key, text.encode() if isinstance(text, str) else text, hashlib.sha256).digest()


def attributes(text):
    return dict(part.split("=", 1) for part in text.split(","))


class Wire:
    """Frames over a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.lock = threading.Lock()

    def write(self, kind, payload=None, correlation=0, flags=0):
        body = b"" if payload is None else msgpack.packb(payload, use_bin_type=True)
        millis = int(time.time() * 1000)
        frame = HEADER.pack(b"CNDT", 1, kind, flags, len(body), correlation, millis, 0) + body
        with self.lock:
            self.sock.sendall(frame)
        return frame

    def read(self):
        """The next frame as (type, flags, correlation id, payload, all its bytes); None at the end."""
        head = self.exactly(HEADER.size)
        if head is None:
            return None
        magic, version, kind, flags, length, correlation, _, _ = HEADER.unpack(head)
        if (magic, version) != (b"CNDT", 1) or length > CAPS["max_frame"]:
            raise ValueError(f"no frame: {head.hex()}")
        body = self.exactly(length)
        payload = msgpack.unpackb(body, raw=False) if body else None
        return kind, flags, correlation, payload, head + (body or b"")

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                return None
            data += piece
        return data


def transcript(request, challenge):
    return hashlib.sha256(b"CNDT-AUTH-T1\0" + request + challenge).digest()


def log_in(wire, user, password):
    """The client's half. Gives server_info."""
    nonce = b64(os.urandom(32))
    bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    info = {"name": "python_client", "version": "1.0.0"}
    request = wire.write(
        AUTH_REQUEST,
        {"mechs": [MECHANISM], "scram": "n,," + bare, "caps": CAPS, "client_info": info},
        correlation=1,
    )
    kind, _, _, payload, challenge = wire.read()
    refuse_if_refused(kind, payload)
    assert kind == AUTH_CHALLENGE and payload["mech"] == MECHANISM
    first = payload["scram"]
    server = attributes(first)
    assert server["r"].startswith(nonce) and len(server["r"]) >= len(nonce) + 18
    salt, iterations = base64.b64decode(server["s"]), int(server["i"])
    assert 4096 <= iterations <= 2_000_000
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key, server_key = sign(salted, "Client Key"), sign(salted, "Server Key")
    stored = hashlib.sha256(client_key).digest()
    last = f"c={b64(b'n,,')},r={server['r']},t={b64(transcript(request, challenge))}"
    signed = f"{bare},{first},{last}"
    proof = bytes(a ^ b for a, b in zip(client_key, sign(stored, signed)))
    wire.write(AUTH_RESPONSE, {"scram": f"{last},p={b64(proof)}"}, correlation=1)
    kind, _, _, payload, _ = wire.read()
    refuse_if_refused(kind, payload)
    assert kind == AUTH_SUCCESS
    if not hmac.compare_digest(payload["scram"], "v=" + b64(sign(server_key, signed))):
        tell(impostor=True)
        sys.exit(4)
    return payload["server_info"]


def refuse_if_refused(kind, payload):
    if kind == AUTH_FAILURE:
        tell(refused={"code": payload.get("code"), "reason": payload["reason"]})
        sys.exit(3)


def let_in(wire, password, iterations, forge):
    """The server's half. Gives user and client_info, or None after a refusal."""

    def refuse(code, reason):
        wire.write(AUTH_FAILURE, {"reason": reason, "code": code}, correlation=correlation)
        tell(refused=code)

    kind, flags, correlation, payload, request = wire.read()
    if kind != AUTH_REQUEST or flags or not correlation:
        return refuse("protocol", "a login was expected")
    if MECHANISM not in payload["mechs"] or not payload["scram"].startswith("n,,"):
        return refuse("mech_required", MECHANISM)
    bare = payload["scram"][3:]
    client, info = attributes(bare), payload["client_info"]
    salt = hashlib.sha256(b"a fixed salt will do").digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(sign(salted, "Client Key")).digest()
    both = client["r"] + b64(os.urandom(32))
    first = f"r={both},s={b64(salt)},i={iterations}"
    challenge = wire.write(
        AUTH_CHALLENGE,
        {"mech": MECHANISM, "mechs": [MECHANISM], "scram": first, "caps": CAPS},
        correlation=correlation,
    )
    frame = wire.read()
    if frame is None:
        return None
    kind, _, again, payload, _ = frame
    if kind != AUTH_RESPONSE or again != correlation:
        return refuse("protocol", "a proof was expected")
    last, proof = payload["scram"].rsplit(",p=", 1)
    parts = attributes(last)
    signed = f"{bare},{first},{last}"
    key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), sign(stored, signed)))
    right = (
        parts["r"] == both
        and parts["c"] == b64(b"n,,")
        and parts["t"] == b64(transcript(request, challenge))
        and hmac.compare_digest(hashlib.sha256(key).digest(), stored)
        and client["n"] == "default"
    )
    if not right:
        return refuse("auth_failed", "no")
    signature = sign(sign(salted, "Server Key"), signed + ("!" if forge else ""))
    success = {
        "scram": "v=" + b64(signature),
        "session_token": os.urandom(64).hex(),
        "server_info": {"name": "python_server", "version": "1.0.0"},
    }
    wire.write(AUTH_SUCCESS, success, correlation=correlation)
    return client["n"], info


def methods(params, name):
    if name == "add":
        return params["a"] + params["b"]
    if name == "echo":
        return params
    if name == "whoami":
        return "python"
    raise LookupError(name)


def answer(wire, name, params, correlation):
    if name == "fail":
        error = {"success": False, "error": "as asked", "code": 4711, "details": {"why": "because"}}
        return wire.write(RPC_ERROR, error, correlation)
    try:
        result = methods(params, name)
    except LookupError:
        error = {"success": False, "error": f"no method {name}", "code": 4000}
        return wire.write(RPC_ERROR, error, correlation)
    wire.write(RPC_RESPONSE, {"success": True, "result": result}, correlation)


def serve_frames(wire, on_answer):
    """Answers the other side until one of both ends."""
    while True:
        frame = wire.read()
        if frame is None:
            return
        kind, flags, correlation, payload, _ = frame
        if kind == PING:
            wire.write(PONG)
        elif kind == RPC_REQUEST:
            answer(wire, payload["method"], payload.get("params"), correlation)
        elif kind == MESSAGE and payload["type"] == "greeting":
            reply = {"reply": f"Hello, {payload['data']['name']}!"}
            wire.write(MESSAGE, {"type": "greeting_response", "data": reply})
        elif kind == CLOSE:
            wire.write(CLOSE_ACK)
            return
        else:
            on_answer(kind, correlation, payload)
        if flags & REQUIRES_ACK:
            wire.write(ACK, correlation=correlation)


def client(port, password, user="default"):
    sock = socket.create_connection(("127.0.0.1", int(port)))
    wire = Wire(sock)
    tell(opened={"server": log_in(wire, user, password)})
    answers = {}
    arrived = threading.Condition()

    def on_answer(kind, correlation, payload):
        with arrived:
            answers[kind, correlation] = payload
            arrived.notify_all()

    def wait(*keys):
        with arrived:
            found = arrived.wait_for(lambda: [key for key in keys if key in answers], timeout=20)
            return found[0], answers[found[0]]

    done = threading.Event()

    def listen():
        serve_frames(wire, on_answer)
        sock.shutdown(socket.SHUT_WR)
        done.set()

    threading.Thread(target=listen, daemon=True).start()
    wire.write(RPC_REQUEST, {"method": "add", "params": {"a": 10, "b": 20}}, 1)
    tell(result=wait((RPC_RESPONSE, 1))[1]["result"])
    wire.write(RPC_REQUEST, {"method": "nope", "params": {}}, 2)
    error = wait((RPC_ERROR, 2))[1]
    tell(error={"code": error["code"], "message": error["error"]})
    wire.write(MESSAGE, {"type": "greeting", "data": {"name": "World"}})
    tell(message=wait((MESSAGE, 0))[1])
    wire.write(MESSAGE, {"type": "noted", "data": None}, 3, REQUIRES_ACK)
    tell(ack=wait((ACK, 3), (NACK, 3))[0][0] == ACK)
    wire.write(PING)
    wait((PONG, 0))
    tell(pong=True)
    sys.stdin.readline()
    wire.write(CLOSE)
    tell(closed=done.wait(20))


def serve(password, iterations, forge=None):
    listener = socket.create_server(("127.0.0.1", 0))
    tell(port=listener.getsockname()[1])

    def one(sock):
        with sock:
            wire = Wire(sock)
            who = let_in(wire, password, int(iterations), forge is not None)
            if who:
                tell(opened={"user": who[0], "client": who[1]})
                serve_frames(wire, lambda *_: None)

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=one, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    {"client": client, "server": serve}[sys.argv[1]](*sys.argv[2:])
