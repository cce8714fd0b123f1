"""A server of buckets in memory: of S3 what s3fs asks for, on paths, without looking at signatures."""

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

MISSING = {
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchKey": "The specified key does not exist.",
}
TIME = "2026-01-01T00:00:00.000Z"


class Buckets(BaseHTTPRequestHandler):
    """Answers requests; the server has ``buckets``, dictionaries of objects by key."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Write no line for each request."""

    def parse_request(self) -> bool:
        """Take the path apart, and read what was sent."""
        if not super().parse_request():
            return False
        parts = urlsplit(self.path)
        self.bucket, _, self.key = unquote(parts.path).lstrip("/").partition("/")
        self.query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return True

    def answer(self, body: bytes = b"", status: int = 200, **headers: object) -> None:
        """Send an answer; of one to HEAD, the head alone."""
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def objects(self) -> dict[str, bytes] | None:
        """Return what is in the bucket, or answer that there is none."""
        found = self.server.buckets.get(self.bucket)
        if found is None:
            self.refuse("NoSuchBucket")
        return found

    def refuse(self, code: str) -> None:
        """Answer that something is missing."""
        self.answer(f"<Error><Code>{code}</Code><Message>{MISSING[code]}</Message></Error>".encode(), 404)

    def do_PUT(self) -> None:
        """Make a bucket; or an object, of what was sent or of another object."""
        if not self.key:
            self.server.buckets.setdefault(self.bucket, {})
            self.answer()
        elif (objects := self.objects()) is None:
            return
        elif source := self.headers.get("x-amz-copy-source"):
            bucket, _, key = unquote(source).lstrip("/").partition("/")
            objects[self.key] = self.server.buckets[bucket][key]
            self.answer(f"<CopyObjectResult><LastModified>{TIME}</LastModified></CopyObjectResult>".encode())
        else:
            objects[self.key] = self.body
            self.answer(ETag=tag(self.body))

    def do_GET(self) -> None:
        """Send an object, or part of it; or list a bucket."""
        if (objects := self.objects()) is None:
            return
        if not self.key:
            self.answer(listed(objects, self.query.get("prefix", ""), self.query.get("delimiter", "")))
        elif self.key not in objects:
            self.refuse("NoSuchKey")
        else:
            whole, wanted = objects[self.key], self.headers.get("Range")
            about = {"ETag": tag(whole), "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
            if wanted is None or self.command == "HEAD":
                self.answer(whole, **about)
            else:
                first, last = part_of(wanted, len(whole))
                content = f"bytes {first}-{last}/{len(whole)}"
                self.answer(whole[first : last + 1], 206, **about, Content_Range=content)

    def do_HEAD(self) -> None:
        """Send what is said of an object."""
        self.do_GET()

    def do_DELETE(self) -> None:
        """Remove an object, or a bucket."""
        if self.key:
            self.server.buckets.get(self.bucket, {}).pop(self.key, None)
        else:
            self.server.buckets.pop(self.bucket, None)
        self.answer(status=204)

    def do_POST(self) -> None:
        """Remove many objects."""
        assert "delete" in self.query, self.path
        if (objects := self.objects()) is not None:
            for element in ElementTree.fromstring(self.body).iter():
                if element.tag.endswith("Key"):
                    objects.pop(element.text or "", None)
            self.answer(b"<DeleteResult/>")


def tag(content: bytes) -> str:
    """Return what changes with an object."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def part_of(wanted: str, length: int) -> tuple[int, int]:
    """Return the first and the last byte of a Range, such as bytes=3-8, bytes=3- or bytes=-5."""
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    if not first:
        return max(length - int(last), 0), length - 1
    return int(first), min(int(last or length), length - 1)


def listed(objects: dict[str, bytes], prefix: str, delimiter: str) -> bytes:
    """Return the list of the objects whose keys begin with a prefix, those behind a delimiter as one."""
    keys, folders = [], set()
    for key in sorted(objects):
        if key.startswith(prefix):
            name, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if found:
                folders.add(f"{prefix}{name}{delimiter}")
            else:
                keys.append(key)
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key])}</Size><ETag>{escape(tag(objects[key]))}</ETag>"
        f"<LastModified>{TIME}</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    common = "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders))
    count = f"<KeyCount>{len(keys) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return f"<ListBucketResult {space}>{count}{contents}{common}</ListBucketResult>".encode()


@contextmanager
def bucket_server():
    """Run a server in a thread; give its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Buckets)
    server.daemon_threads = True
    server.buckets = {}
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
