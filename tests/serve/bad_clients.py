"""Misbehaving clients. Each is called with a port and `timeout_s`, and returns how its connection ended.

"rejected" is an error response (HTTP 4xx or 5xx, or an error message), "closed" an end of the connection; anything
else is a fault of the server.
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

BadClient = Callable[[int, float], str]
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"


def connected(port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout_s)


def outcome(connection: socket.socket, timeout_s: float) -> str:
    """Read to the end of the connection."""
    received = b""
    deadline = time.monotonic() + timeout_s
    with connection:
        while time.monotonic() < deadline:
            try:
                data = connection.recv(1 << 16)
            except ConnectionError:
                break
            except TimeoutError:
                return "nothing happened"
            if not data:
                break
            received += data[: 1 << 12]
    if not received:
        return "closed"
    return "rejected" if received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")) else f"got {received[:60]!r}"


def send_bytes(port: int, timeout_s: float, data: bytes) -> str:
    connection = connected(port, timeout_s)
    with suppress(ConnectionError):
        connection.sendall(data)
    return outcome(connection, timeout_s)


def request_head(path: str = "/v1/denoise", *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *lines, "", ""]).encode()


def post(port: int, timeout_s: float, body: bytes, *lines: str, path: str = "/v1/denoise") -> str:
    head = request_head(path, f"content-length: {len(body)}", "connection: close", *lines)
    return send_bytes(port, timeout_s, head + body)


def ten_gigabytes(port: int, timeout_s: float) -> str:
    head = request_head("/v1/denoise", "content-length: 10000000000")
    return send_bytes(port, timeout_s, head + bytes(100_000))


def negative_length(port: int, timeout_s: float) -> str:
    return send_bytes(port, timeout_s, request_head("/v1/denoise", "content-length: -5"))


def two_lengths(port: int, timeout_s: float) -> str:
    return send_bytes(
        port, timeout_s, request_head("/v1/denoise", "content-length: 5", "content-length: 6") + b"123456"
    )


def endless_upload(port: int, timeout_s: float) -> str:
    return upload_forever(port, timeout_s, "transfer-encoding: chunked", CHUNK)


def trickling_upload(port: int, timeout_s: float) -> str:
    return upload_forever(port, timeout_s, "content-length: 1000000", b"x", 0.05)


def upload_forever(port: int, timeout_s: float, header: str, data: bytes, pause_s: float = 0.0) -> str:
    connection = connected(port, timeout_s)
    try:
        connection.sendall(request_head("/v1/denoise", header))
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            connection.sendall(data)
            time.sleep(pause_s)
    except ConnectionError:
        pass
    return outcome(connection, timeout_s)


def half_a_body(port: int, timeout_s: float) -> str:
    return send_bytes(port, timeout_s, request_head("/v1/denoise", "content-length: 1000000") + bytes(1000))


def no_request(port: int, timeout_s: float) -> str:
    return outcome(connected(port, timeout_s), timeout_s)


def half_a_head(port: int, timeout_s: float) -> str:
    return send_bytes(port, timeout_s, b"POST /v1/denoise HTTP/1.1\r\nhost: x\r\nx-")


def endless_head(port: int, timeout_s: float) -> str:
    return send_bytes(port, timeout_s, b"GET / HTTP/1.1\r\n" + b"x-a: b\r\n" * 200_000)


def random_bytes(port: int, timeout_s: float) -> str:
    return send_bytes(port, timeout_s, os.urandom(10_000) + b"\r\n\r\n")


def tls(port: int, timeout_s: float) -> str:
    return send_bytes(port, timeout_s, bytes.fromhex("16030100c8010000c40303") + os.urandom(200))


def random_recording(port: int, timeout_s: float) -> str:
    return post(port, timeout_s, os.urandom(50_000))


def false_wav_header(port: int, timeout_s: float) -> str:
    """A header of 4 GB at 4 GHz in 65,535 channels."""
    form = b"\x10\0\0\0\x01\0\xff\xff\xff\xff\xff\xff\0\0\0\0\x02\0\x10\0"
    header = b"RIFF\xff\xff\xff\xffWAVEfmt " + form + b"data\xff\xff\xff\xff"
    return post(port, timeout_s, header + bytes(999))


def path_traversal(port: int, timeout_s: float) -> str:
    name = b'content-disposition: form-data; name="file"; filename="../../../../etc/cron.d/x\x00.wav"'
    body = b"--e\r\n" + name + b"\r\n\r\n" + os.urandom(2000) + b"\r\n--e--\r\n"
    line = "content-type: multipart/form-data; boundary=e"
    return post(port, timeout_s, body, line, path="/v1/denoise?model=../../../etc/passwd")


def damaged_form(port: int, timeout_s: float) -> str:
    body = b"--f\r\nno header at all" + os.urandom(3000)
    return post(port, timeout_s, body, "content-type: multipart/form-data; boundary=e")


def send_messages(port: int, timeout_s: float, *messages: str | bytes) -> str:
    """Send these over a WebSocket and wait for the end."""
    url = f"ws://127.0.0.1:{port}/v1/stream"
    try:
        with connect(url, proxy=None, compression=None, max_size=None, close_timeout=1) as socket:
            try:
                for message in messages:
                    socket.send(message)
                deadline = time.monotonic() + timeout_s
                while time.monotonic() < deadline:
                    reply = socket.recv(timeout_s)
                    if isinstance(reply, str) and json.loads(reply)["type"] == "error":
                        return "rejected"
                return "nothing happened"
            except ConnectionClosed:
                return "closed"
            except TimeoutError:
                return "nothing happened"
    except (WebSocketException, OSError):
        return "closed"


def start(**fields: object) -> str:
    return json.dumps({"type": "start", "rate": 48000} | fields)


def negative_rate(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, start(rate=-1))


def wrong_type(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, start(rate={"a": [1e999]}))


def binary_start(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, bytes(4000))


def no_start(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s)


def huge_message(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, start(), bytes(8 << 20))


def half_a_sample(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, start(), bytes(1001))


def infinite_samples(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, start(), np.full(960, np.inf, "<f4").tobytes())


def silent(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, start())


def invalid_control(port: int, timeout_s: float) -> str:
    return send_messages(port, timeout_s, start(), '{"type": "set", "mix": "loud"}')


def invalid_utf8(port: int, timeout_s: float) -> str:
    return send_frame(port, timeout_s, b"\x81\x84\0\0\0\0\xff\xfe\xff\xfe")


def reserved_bits(port: int, timeout_s: float) -> str:
    return send_frame(port, timeout_s, b"\xff\xff" + os.urandom(100))


def send_frame(port: int, timeout_s: float, data: bytes) -> str:
    """A valid handshake, then bytes that are no valid frame."""
    connection = connected(port, timeout_s)
    lines = ("GET /v1/stream HTTP/1.1", "host: x", "upgrade: websocket", "connection: upgrade",
             "sec-websocket-version: 13", "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==", "", "")  # fmt: skip
    connection.sendall("\r\n".join(lines).encode())
    with connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 101")
        try:
            connection.sendall(data)
            while connection.recv(4096):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return "nothing happened"
    return "closed"


def small_buffer(port: int, timeout_s: float) -> socket.socket:
    """A connection that receives next to nothing while nobody reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(timeout_s)
    connection.connect(("127.0.0.1", port))
    return connection


def unread_stream(port: int, timeout_s: float) -> str:
    """Sends as fast as it can and reads nothing."""
    block, url = bytes(96_000), f"ws://127.0.0.1:{port}/v1/stream"
    with small_buffer(port, timeout_s) as connection:
        try:
            with connect(url, sock=connection, proxy=None, compression=None, max_queue=1, close_timeout=0.1) as socket:
                socket.send(start())
                deadline = time.monotonic() + timeout_s
                while time.monotonic() < deadline:
                    socket.send(block)
        except (WebSocketException, OSError):
            return "closed"
    return "nothing happened"


def unread_download(port: int, timeout_s: float) -> str:
    """Sends a recording and reads nothing of the response, which is larger than any buffer on its way."""
    samples = np.random.default_rng(0).integers(-9999, 9999, 48000 * 40).astype("<i2").tobytes()
    rate, size = (48000).to_bytes(4, "little"), len(samples).to_bytes(4, "little")
    form = b"\x10\0\0\0\x01\0\x01\0" + rate + (96000).to_bytes(4, "little") + b"\x02\0\x10\0"
    data = b"RIFF" + (36 + len(samples)).to_bytes(4, "little") + b"WAVEfmt " + form + b"data" + size + samples
    with small_buffer(port, timeout_s) as connection:
        connection.sendall(request_head("/v1/denoise?format=float32", f"content-length: {len(data)}") + data)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            time.sleep(0.2)
            try:
                connection.sendall(b"\r\n")  # fails once the server has closed the connection
            except ConnectionError:
                return "closed"
    return "nothing happened"


BAD_CLIENTS: tuple[BadClient, ...] = (
    ten_gigabytes, negative_length, two_lengths, endless_upload, trickling_upload, half_a_body, no_request,
    half_a_head, endless_head, random_bytes, tls, random_recording, false_wav_header, path_traversal, damaged_form,
    negative_rate, wrong_type, binary_start, no_start, huge_message, half_a_sample, infinite_samples, silent,
    invalid_control, invalid_utf8, reserved_bits, unread_stream, unread_download,
)  # fmt: skip
