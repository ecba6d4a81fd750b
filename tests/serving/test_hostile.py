"""What strangers may send to a live server on loopback: it is refused in a sentence, at once, and the next client is served.

The counts are small here; `make test-serving` runs those of docs/serving.md (ZEROSTART_HOSTILE=full).
"""

import os
import re
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from live_server import encoded
from PIL import Image
from served_sample import noise

from zerostart.serving.uploads import MOST_BYTES, clean_name

FULL = os.environ.get("ZEROSTART_HOSTILE") == "full"
ROOM = 50 << 20
"""Bytes by which the server may grow meanwhile."""
BOUNDARY = "x" * 20
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="picture"; filename="a.png"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


def post_head(server, length: int | None, kind: str = f"multipart/form-data; boundary={BOUNDARY}", more: str = "") -> bytes:
    body = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    host = "{}:{}".format(*server.place)
    return f"POST /v1/inspections HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{body}\r\n{more}\r\n".encode()


def answer_to(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body, as far as they come."""
    received = b""
    try:
        while len(received) < 1 << 20 and (part := connection.recv(65536)):
            received += part
            found = re.search(rb"content-length: (\d+)\r\n", received)
            body = received.partition(b"\r\n\r\n")[2]
            if found and len(body) >= int(found[1]):
                break
    except (ConnectionError, TimeoutError):
        pass
    assert received, "no answer"
    return int(received.split()[1]), received.partition(b"\r\n\r\n")[2]


def raw(server, content: bytes) -> tuple[int, bytes]:
    with server.connect() as connection:
        with suppress(ConnectionError):
            connection.sendall(content)
        return answer_to(connection)


def descriptors(server) -> int:
    return server.main().num_fds()


def serves(server) -> None:
    """A normal client is answered."""
    answer = server.inspect(encoded(noise()), tags="none", k=0)
    assert answer.status_code == 200, answer.text


def files_of(folder) -> set:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm"}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_a_gigabyte_is_refused(server, chunked):
    """413, with 50 MB of memory at most; what is sent beyond the limit is not read."""
    process = server.main()
    before, peak, sent = process.memory_info().rss, 0, 0
    block = b"\0" * (1 << 20)
    with server.connect() as connection:
        connection.sendall(post_head(server, None if chunked else 1 << 30))
        connection.sendall(b"%x\r\n%b\r\n" % (len(HEAD), HEAD) if chunked else HEAD)
        try:
            while sent < 1 << 30:
                connection.sendall(b"%x\r\n%b\r\n" % (len(block), block) if chunked else block)
                sent += len(block)
                peak = max(peak, process.memory_info().rss)
        except ConnectionError:
            pass
        status, body = answer_to(connection)
    assert status == 413 and b"larger than 64 MiB" in body
    assert sent <= MOST_BYTES + (64 << 20)
    assert peak - before < ROOM
    serves(server)


def test_a_length_that_is_too_large_is_answered_before_the_body(server):
    status, body = raw(server, post_head(server, 1 << 30))
    assert status == 413 and b"error" in body


def test_a_lying_length_is_cut_at_the_length(server):
    """A Content-Length of 100 and more bytes behind it: the form is incomplete, and the rest is nobody's."""
    content = HEAD + encoded(noise()) + TAIL
    status, _ = raw(server, post_head(server, 100) + content)
    assert status == 422
    status, _ = raw(server, post_head(server, 100, more="Content-Length: 5\r\n") + content)
    assert status == 400
    serves(server)


def png_of(width: int, height: int) -> bytes:
    """The head of a PNG of any size, with a little of its data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    head = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")


def gif_of(frames: int) -> bytes:
    first, *others = (Image.new("L", (2, 2), number * 7 % 250) for number in range(frames))
    return encoded(first, "GIF", save_all=True, append_images=others)


def tiff_of(pages: int) -> bytes:
    """Pages of one white pixel, written by hand (TIFF 6.0, section 2): Pillow walks through all pages to append one."""
    content, size = b"II*\0\x08\0\0\0", 2 + 8 * 12 + 4
    for number in range(pages):
        start = 8 + number * size
        values = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: start, 278: 1, 279: 1}
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
        content += struct.pack("<H", 8) + entries + struct.pack("<I", start + size if number + 1 < pages else 0)
    return content


HOSTILE = {
    "huge.png": lambda: png_of(30_000, 30_000),
    "frames.gif": lambda: gif_of(10_000 if FULL else 500),
    "frames.tif": lambda: tiff_of(10_000),
    "fits.jpg": lambda: b"SIMPLE  =                    T".ljust(80) + b"BITPIX  = 8".ljust(80) + b"END".ljust(2720),
    "eps.jpg": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100000 100000\n%%EndComments\n%%EOF\n",
    "psd.jpg": lambda: b"8BPS\0\1" + b"\0" * 6 + struct.pack("!HIIHH", 3, 30000, 30000, 8, 3) + b"\0" * 100,
    "empty.png": lambda: b"",
    "text.png": lambda: b"hello",
    "page.png": lambda: b"<!doctype html><script>alert(1)</script>",
    "truncated.png": lambda: encoded(noise((300, 300)))[:1000],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_refused_in_a_second(server, name):
    content = HOSTILE[name]()
    server.inspect(b"warm", "warm.png")
    started = time.monotonic()
    answer = server.inspect(content, name)
    seconds = time.monotonic() - started
    assert answer.status_code == 415 and "picture" in answer.json()["error"]
    assert seconds < (1 if FULL else 5)  # under one where nothing else runs beside it
    assert "Traceback" not in "".join(server.said)


def test_sixteen_bombs_at_once_are_not_decoded(server):
    """One of 900 megapixels in each of 16 connections: each is refused from its header."""
    before = sum(process.memory_info().rss for process in server.main().children())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: server.inspect(png_of(30_000, 30_000)), range(16)))
    assert [answer.status_code for answer in answers] == [415] * 16
    assert all("exceeds limit of" in answer.json()["error"] for answer in answers)
    assert sum(process.memory_info().rss for process in server.main().children()) - before < ROOM
    serves(server)


@pytest.mark.parametrize("what", ["headers", "parts", "fields", "boundary", "part headers", "long field"])
def test_ten_thousand_of_anything_are_refused(server, what):
    if what == "headers":
        status, _ = raw(server, post_head(server, 0, more="".join(f"X-{n}: {n}\r\n" for n in range(10_000))))
    elif what == "boundary":
        status, _ = raw(server, post_head(server, 10, f"multipart/form-data; boundary={'b' * (1 << 20)}") + b"x" * 10)
    else:
        part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="zone"{{}}\r\n\r\n{{}}\r\n'
        if what == "parts":
            body = part.format('; filename="a.png"', "x") * 10_000
        elif what == "fields":
            body = part.format("", "hood_center") * 10_000
        elif what == "part headers":
            body = part.format("".join(f"\r\nX-{n}: y" for n in range(10_000)), "x")
        else:
            body = part.format("", "z" * 100_000)
        content = body.encode() + TAIL
        status, _ = raw(server, post_head(server, len(content)) + content)
    assert 400 <= status < 500
    serves(server)


def test_slow_connections_do_not_keep_a_normal_one_waiting(server):
    """200 that send nothing, half a head, or a body byte by byte."""
    slow = [server.connect() for _ in range(200)]
    try:
        for index, connection in enumerate(slow):
            connection.sendall((b"", b"GET / HT", post_head(server, 5000) + HEAD[:10])[index % 3])
        started = time.monotonic()
        serves(server)
        assert time.monotonic() - started < 10
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    "name, clean",
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\0b.png", "ab.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("<script>alert(1)<\\script>.png", "script>.png"),
        ("..", None),
        ("", None),
        (None, None),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_file_name_is_only_its_last_visible_part(name, clean):
    """By hand: what is behind the last / or \\, without what is not printed, at most 120 characters."""
    assert clean_name(name) == clean


def test_a_hostile_file_name_writes_nowhere_else(server, checkout, tmp_path):
    before = files_of(checkout)
    for name in (b"../../evil.png", b"/tmp/evil.png", b"a\0b.png", b"\xff\xfe.png", "\u202egnp.png".encode(), b"<script>"):
        head = b'--%b\r\nContent-Disposition: form-data; name="picture"; filename="%b"\r\n\r\n' % (BOUNDARY.encode(), name)
        content = head + encoded(noise(seed=11)) + TAIL
        status, body = raw(server, post_head(server, len(content)) + content)
        assert status in (200, 400) and b"../" not in body
    new = {path.relative_to(checkout).parts[:2] for path in files_of(checkout) - before}
    assert new <= {("inspections", "pictures"), ("inspections", "verdicts.sqlite-wal")}


def test_text_of_a_picture_is_never_executed(server):
    """A script in EXIF comes out of no address: the picture is encoded anew, and is a JPEG to every browser."""
    exif = Image.Exif()
    exif[0x010E] = "<script>alert(1)</script>"
    answer = server.inspect(encoded(noise(), "JPEG", exif=exif)).json()
    assert "<script>" not in str(answer)
    shown = server.client.get(f"/v1/inspections/{answer['id']}/picture")
    assert shown.headers["content-type"] == "image/jpeg" and b"<script>" not in shown.content


def test_disconnects_in_mid_upload_leave_nothing(server, checkout):
    serves(server)
    time.sleep(0.5)
    before, files = descriptors(server), files_of(checkout)
    content = HEAD + b"\0" * (3 << 20)  # beyond what is kept in memory
    for index in range(1000 if FULL else 100):
        with server.connect() as connection:
            connection.sendall(post_head(server, 10 << 20) + content[: (index * 40_000) % len(content)])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", index % 2, 0))
    until = time.monotonic() + 20
    while descriptors(server) > before and time.monotonic() < until:
        time.sleep(0.1)
    assert descriptors(server) <= before
    assert files_of(checkout) == files
    serves(server)


def test_requests_after_one_connection_are_answered_in_turn(server):
    with server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50)
        time.sleep(1)
        assert connection.recv(1 << 20).count(b"HTTP/1.1 200") == 50


def test_random_bytes_are_no_request(server):
    for seed in range(20):
        with server.connect() as connection:
            connection.sendall(os.urandom(1000 + seed))
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(4096)[:12] in (b"HTTP/1.1 400", b"")
    serves(server)


def test_requests_made_from_the_openapi_document_meet_no_defect(server):
    """schemathesis draws requests from the document; whatever they hold, none is answered with 500."""
    document = server.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    tried = []

    for operation in schema.get_all_operations():
        found = operation.ok()

        @settings(max_examples=200 if FULL else 5, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=found.as_strategy())
        def every(case):
            answer = case.call(base_url=server.address)
            tried.append(answer.status_code)
            assert answer.status_code != 500, (case.method, case.path, answer.text)

        every()
    assert len(tried) >= 40
    serves(server)
