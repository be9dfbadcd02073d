"""Downloads, against a server on this machine that breaks, resumes, and serves wrong bytes."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from flowvae.cli.main import main
from flowvae.data import fetch as fetching
from flowvae.data import load_data
from flowvae.data.fetch import fetch
from flowvae.data.mnist import FILES
from flowvae.errors import InputError

CONTENT = np.random.RandomState(0).bytes(200_000)
PACKED = gzip.compress(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``files`` by path; ``breaks`` says after how many bytes each of the next answers ends."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.breaks: list[int] = []
        self.resumable = True
        self.log: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        span = self.headers["Range"]
        self.server.log.append((self.path, span))
        content = self.server.files.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        start = int(span.removeprefix("bytes=").rstrip("-")) if span and self.server.resumable else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = start + self.server.breaks.pop(0) if self.server.breaks else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.files["good.gz"] = PACKED
        yield running
        running.shutdown()
        thread.join()


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_right_file_is_unpacked_and_never_asked_for_again(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    for _ in range(2):
        assert fetch([server.url("good.gz")], target, SHA256, remedy="-").read_bytes() == CONTENT
    assert server.log == [("/good.gz", None)]
    assert left_over(target.parent) == ["file"]


def test_a_file_without_a_wrapper_is_taken_as_it_is(server: Server, tmp_path: Path) -> None:
    """Resumed and checked like any other; what begins like a wrapper is not unpacked."""
    server.files["plain.txt"], server.breaks = CONTENT, [70_000]
    fetch([server.url("plain.txt")], tmp_path / "plain.txt", SHA256, remedy="")
    assert (tmp_path / "plain.txt").read_bytes() == CONTENT
    server.files["packed"] = PACKED
    wrapped = fetch([server.url("packed")], tmp_path / "packed", hashlib.sha256(PACKED).hexdigest(), remedy="")
    assert wrapped.read_bytes() == PACKED


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [50_000, 70_000]
    fetch([server.url("good.gz")], tmp_path / "file", SHA256, remedy="-")
    assert server.log == [("/good.gz", None), ("/good.gz", "bytes=50000-"), ("/good.gz", "bytes=120000-")]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_later_call_resumes_too(server: Server, tmp_path: Path) -> None:
    server.breaks = [10_000] * fetching.ATTEMPTS
    with pytest.raises(InputError, match=r"got .*the connection broke after 40000 of \d+ bytes: try again to resume"):
        fetch([server.url("good.gz")], tmp_path / "file", SHA256, remedy="-")
    assert not (tmp_path / "file").exists()
    fetch([server.url("good.gz")], tmp_path / "file", SHA256, remedy="-")
    assert server.log[-1] == ("/good.gz", "bytes=40000-")
    assert left_over(tmp_path) == ["file"]


def test_a_server_that_cannot_resume_is_asked_for_all(server: Server, tmp_path: Path) -> None:
    server.resumable = False
    server.breaks = [50_000]
    fetch([server.url("good.gz")], tmp_path / "file", SHA256, remedy="-")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(server.log) == 2  # the second answer is taken for the whole, not for the rest


def test_a_download_that_was_whole_but_not_unpacked_is_used(server: Server, tmp_path: Path) -> None:
    server.breaks = [0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "ATTEMPTS", 1)
        with pytest.raises(InputError):
            fetch([server.url("good.gz")], tmp_path / "file", SHA256, remedy="-")
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(PACKED)
    fetch([server.url("good.gz")], tmp_path / "file", SHA256, remedy="-")
    assert server.log[-1] == ("/good.gz", f"bytes={len(PACKED)}-")


def test_a_spoilt_part_is_thrown_away(server: Server, tmp_path: Path) -> None:
    url = server.url("good.gz")
    server.breaks = [50_000]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetching, "ATTEMPTS", 1)
        with pytest.raises(InputError):
            fetch([url], tmp_path / "file", SHA256, remedy="-")
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(b"x" * 50_000)
    assert fetch([url], tmp_path / "file", SHA256, remedy="-").read_bytes() == CONTENT


@pytest.mark.parametrize("bad", [gzip.compress(CONTENT[:-1]), PACKED[:-1000], b"<html>sorry</html>"])
def test_wrong_bytes_are_never_kept(server: Server, tmp_path: Path, bad: bytes) -> None:
    server.files["bad.gz"] = bad
    with pytest.raises(InputError, match=r"expected to download file; got .*/bad.gz: (SHA-256|a broken .gz file)"):
        fetch([server.url("bad.gz")], tmp_path / "file", SHA256, remedy="-")
    assert left_over(tmp_path) == []


def test_the_next_mirror_helps(server: Server, tmp_path: Path) -> None:
    server.files["bad.gz"] = gzip.compress(b"other")
    urls = [server.url(name) for name in ("none.gz", "bad.gz", "good.gz")]
    assert fetch(urls, tmp_path / "file", SHA256, remedy="-").read_bytes() == CONTENT
    assert [path for path, _ in server.log].count("/none.gz") == 1  # what is not there is not asked for again


def test_a_spoilt_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    assert fetch([server.url("good.gz")], tmp_path / "file", SHA256, remedy="-").read_bytes() == CONTENT


def test_no_connection_names_every_mirror_and_the_remedy(tmp_path: Path) -> None:
    with Server() as closed:
        urls = [closed.url("a.gz"), closed.url("b.gz")]
    with pytest.raises(InputError, match=r"a.gz: .*refused.*b.gz: .*refused.*or name a folder"):
        fetch(urls, tmp_path / "file", SHA256, remedy="name a folder")


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"expected a folder that can be written to; got .*occupied"):
        fetch([], tmp_path / "occupied" / "file", SHA256, remedy="-")


def test_several_processes_download_once(server: Server, tmp_path: Path) -> None:
    url, target = server.url("good.gz"), tmp_path / "file"
    threads = [threading.Thread(target=fetch, args=([url], target, SHA256), kwargs={"remedy": "-"}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.log == [("/good.gz", None)]


def test_mnist_downloads_what_the_cache_lacks(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = np.arange(12 * 4, dtype=np.uint8).reshape(12, 2, 2), np.arange(12, dtype=np.uint8) % 10
    arrays = dict(zip(FILES, (images, labels, images[:3], labels[:3]), strict=True))
    sums = {}
    for name, array in arrays.items():
        sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
        content = bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()
        server.files[f"{name}.gz"] = gzip.compress(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setenv("FLOWVAE_DATA", str(tmp_path))
    monkeypatch.setattr("flowvae.data.mnist.MIRRORS", (server.url("nowhere/"), server.url("")))
    monkeypatch.setattr("flowvae.data.mnist.FILES", sums)
    monkeypatch.setattr("flowvae.data.mnist.HELD_OUT", 4)
    data = load_data("mnist")
    assert [len(split) for split in data.splits.values()] == [8, 4, 3]
    assert (data.validation.values[:, 0].numpy() == images[8:]).all()
    asked = len(server.log)
    assert load_data("mnist").digest == data.digest
    assert len(server.log) == asked
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(b"spoilt")
    assert load_data("mnist").digest == data.digest
    asked_again = server.log[asked:]
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte").unlink()
    small = ("encoder.width=4", "likelihood.decoder.width=4", "training.epochs=1", "evaluation.samples=2")
    changes = [word for change in small for word in ("--set", change)]
    assert main(["train", "mnist-vae", "--out", str(tmp_path / "run"), "--quiet", *changes]) == 0
    assert f"downloading t10k-labels-idx1-ubyte to {tmp_path / 'mnist'}\n" in capsys.readouterr().err
    assert [path for path, _ in asked_again] == [
        "/nowhere/t10k-labels-idx1-ubyte.gz",
        "/t10k-labels-idx1-ubyte.gz",
    ]
