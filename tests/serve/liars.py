"""Clients that lie. Each is given a port and `patience`, does its worst, and returns how it ended.

"answered" is a refusal in words (HTTP 4xx or 5xx, or an error message with its close code), "closed" an end of the
connection; anything else is a failure of the server.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

Liar = Callable[[int, float], str]
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"


def plug(port: int, patience: float) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port), timeout=patience)
    return found


def ending(found: socket.socket, patience: float) -> str:
    """Read to the end: what it was."""
    got = b""
    last = time.monotonic() + patience
    with found:
        while time.monotonic() < last:
            try:
                piece = found.recv(1 << 16)
            except ConnectionError:
                break
            except TimeoutError:
                return "nothing happened"
            if not piece:
                break
            got += piece[: 1 << 12]
    if not got:
        return "closed"
    return "answered" if got.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")) else f"got {got[:60]!r}"


def sent(port: int, patience: float, data: bytes) -> str:
    found = plug(port, patience)
    with suppress(ConnectionError):
        found.sendall(data)
    return ending(found, patience)


def head(path: str = "/v1/denoise", *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *lines, "", ""]).encode()


def ten_gigabytes(port: int, patience: float) -> str:
    return sent(port, patience, head("/v1/denoise", "content-length: 10000000000") + bytes(100_000))


def negative_length(port: int, patience: float) -> str:
    return sent(port, patience, head("/v1/denoise", "content-length: -5"))


def two_lengths(port: int, patience: float) -> str:
    return sent(port, patience, head("/v1/denoise", "content-length: 5", "content-length: 6") + b"123456")


def never_ending_upload(port: int, patience: float) -> str:
    return uploading(port, patience, "transfer-encoding: chunked", CHUNK)


def trickling_upload(port: int, patience: float) -> str:
    return uploading(port, patience, "content-length: 1000000", b"x", 0.05)


def uploading(port: int, patience: float, header: str, piece: bytes, pause_s: float = 0.0) -> str:
    """Pieces without end."""
    found = plug(port, patience)
    try:
        found.sendall(head("/v1/denoise", header))
        last = time.monotonic() + patience
        while time.monotonic() < last:
            found.sendall(piece)
            time.sleep(pause_s)
    except ConnectionError:
        pass
    return ending(found, patience)


def half_a_body(port: int, patience: float) -> str:
    return sent(port, patience, head("/v1/denoise", "content-length: 1000000") + bytes(1000))


def half_open(port: int, patience: float) -> str:
    return ending(plug(port, patience), patience)


def half_a_head(port: int, patience: float) -> str:
    return sent(port, patience, b"POST /v1/denoise HTTP/1.1\r\nhost: x\r\nx-")


def endless_head(port: int, patience: float) -> str:
    return sent(port, patience, b"GET / HTTP/1.1\r\n" + b"x-a: b\r\n" * 200_000)


def garbage(port: int, patience: float) -> str:
    return sent(port, patience, os.urandom(10_000) + b"\r\n\r\n")


def tls(port: int, patience: float) -> str:
    return sent(port, patience, bytes.fromhex("16030100c8010000c40303") + os.urandom(200))


def garbage_recording(port: int, patience: float) -> str:
    data = os.urandom(50_000)
    return sent(port, patience, head("/v1/denoise", f"content-length: {len(data)}", "connection: close") + data)


def lying_wav(port: int, patience: float) -> str:
    """A header that promises 4 GB at 4 GHz in 65,535 channels."""
    data = (
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\xff\xff\xff\xff\xff\xff\0\0\0\0\x02\0\x10\0data\xff\xff\xff\xff"
        + bytes(999)
    )
    return sent(port, patience, head("/v1/denoise", f"content-length: {len(data)}", "connection: close") + data)


def path_tricks(port: int, patience: float) -> str:
    data = (
        b'--e\r\ncontent-disposition: form-data; name="file"; filename="../../../../etc/cron.d/x\x00.wav"\r\n\r\n'
        + os.urandom(2000) + b"\r\n--e--\r\n"
    )  # fmt: skip
    lines = (f"content-length: {len(data)}", "content-type: multipart/form-data; boundary=e", "connection: close")
    return sent(port, patience, head("/v1/denoise?model=../../../etc/passwd", *lines) + data)


def broken_form(port: int, patience: float) -> str:
    data = b"--f\r\nno header at all" + os.urandom(3000)
    lines = (f"content-length: {len(data)}", "content-type: multipart/form-data; boundary=e", "connection: close")
    return sent(port, patience, head("/v1/denoise", *lines) + data)


def talk(port: int, patience: float, *messages: str | bytes, reads: bool = True) -> str:
    """Say these over a WebSocket and wait for the end."""
    try:
        with connect(
            f"ws://127.0.0.1:{port}/v1/stream", proxy=None, compression=None, max_size=None, close_timeout=1
        ) as ws:
            try:
                for message in messages:
                    ws.send(message)
                last = time.monotonic() + patience
                while time.monotonic() < last:
                    found = ws.recv(patience)
                    if isinstance(found, str) and json.loads(found)["type"] == "error":
                        return "answered"
                return "nothing happened"
            except ConnectionClosed:
                return "closed"
            except TimeoutError:
                return "nothing happened"
    except (WebSocketException, OSError):
        return "closed"


def hello(**more: object) -> str:
    return json.dumps({"type": "hello", "rate": 48000} | more)


def wrong_rate(port: int, patience: float) -> str:
    return talk(port, patience, hello(rate=-1))


def wrong_kind(port: int, patience: float) -> str:
    return talk(port, patience, hello(rate={"a": [1e999]}))


def binary_first(port: int, patience: float) -> str:
    return talk(port, patience, bytes(4000))


def no_hello(port: int, patience: float) -> str:
    return talk(port, patience)


def huge_message(port: int, patience: float) -> str:
    return talk(port, patience, hello(), bytes(8 << 20))


def half_a_sample(port: int, patience: float) -> str:
    return talk(port, patience, hello(), bytes(1001))


def not_a_number(port: int, patience: float) -> str:
    return talk(port, patience, hello(), np.full(960, np.inf, "<f4").tobytes())


def silent(port: int, patience: float) -> str:
    return talk(port, patience, hello())


def wrong_control(port: int, patience: float) -> str:
    return talk(port, patience, hello(), '{"type": "set", "mix": "loud"}')


def broken_utf8(port: int, patience: float) -> str:
    return raw_socket(port, patience, b"\x81\x84\0\0\0\0\xff\xfe\xff\xfe")


def reserved_bits(port: int, patience: float) -> str:
    return raw_socket(port, patience, b"\xff\xff" + os.urandom(100))


def raw_socket(port: int, patience: float, data: bytes) -> str:
    """A good handshake, then bytes that are no good frame."""
    found = plug(port, patience)
    lines = ("GET /v1/stream HTTP/1.1", "host: x", "upgrade: websocket", "connection: upgrade",
             "sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "", "")  # fmt: skip
    found.sendall("\r\n".join(lines).encode())
    with found:
        assert found.recv(4096).startswith(b"HTTP/1.1 101")
        try:
            found.sendall(data)
            while found.recv(4096):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return "nothing happened"
    return "closed"


def slow_reader(port: int, patience: float) -> str:
    """Sends as fast as it can and reads nothing."""
    block = bytes(96_000)
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.settimeout(patience)
        found.connect(("127.0.0.1", port))
        ws = connect(
            f"ws://127.0.0.1:{port}/v1/stream", sock=found, proxy=None, compression=None, max_queue=1, close_timeout=0.1
        )
        try:
            with ws as open_:
                open_.send(hello())
                last = time.monotonic() + patience
                while time.monotonic() < last:
                    open_.send(block)
        except (WebSocketException, OSError):
            return "closed"
    return "nothing happened"


def slow_download(port: int, patience: float) -> str:
    """Asks for a recording and reads nothing of it."""
    sound = np.random.default_rng(0).integers(-9999, 9999, 48000 * 40).astype("<i2").tobytes()
    size = len(sound)
    data = (
        b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\x01\0\x01\0" + (48000).to_bytes(4, "little")
    )
    data += (96000).to_bytes(4, "little") + b"\x02\0\x10\0data" + size.to_bytes(4, "little") + sound
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.settimeout(patience)
        found.connect(("127.0.0.1", port))
        found.sendall(head("/v1/denoise?format=float32", f"content-length: {len(data)}") + data)
        last = time.monotonic() + patience
        while time.monotonic() < last:
            time.sleep(0.2)
            try:
                found.sendall(b"\r\n")  # refused once the other end is gone
            except ConnectionError:
                return "closed"
    return "nothing happened"


LIARS: tuple[Liar, ...] = (
    ten_gigabytes, negative_length, two_lengths, never_ending_upload, trickling_upload, half_a_body, half_open,
    half_a_head, endless_head, garbage, tls, garbage_recording, lying_wav, path_tricks, broken_form, wrong_rate,
    wrong_kind, binary_first, no_hello, huge_message, half_a_sample, not_a_number, silent, wrong_control, broken_utf8,
    reserved_bits, slow_reader, slow_download,
)  # fmt: skip
