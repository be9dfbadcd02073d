"""Downloads that survive a broken connection: resumed, checked, cached, safe among processes."""

import gzip
import hashlib
import http.client
import logging
import os
import shutil
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from flowvae.errors import InputError

ATTEMPTS = 4  # at one address; each continues where the last one broke off
TIMEOUT = 30.0  # seconds without a word from an address

log = logging.getLogger(__name__)


class _Corrupt(Exception):
    """All bytes have arrived, and they are the wrong ones."""


def cache_home() -> Path:
    """The folder of downloads: $FLOWVAE_DATA, or the user's cache directory."""
    return Path(os.environ.get("FLOWVAE_DATA") or user_cache_dir("flowvae")).expanduser()


def fetch(urls: Sequence[str], target: Path, digest: str | None, *, remedy: str) -> Path:
    """Download a file from the first of ``urls`` that has it to ``target``.

    It is unpacked where its address ends in .gz and the name of ``target`` does not.

    ``digest`` is the SHA-256 of ``target``, or its MD5 where the publisher tells no other; None leaves the check to the
    caller. What has arrived is kept when the connection breaks, here or in a later call; ``target`` appears only once
    it is complete and right. Raises `InputError` with every mirror's failure and ``remedy``.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(target.name + ".lock")):
            if target.is_file() and _fits(target, digest):  # another process was faster
                return target
            log.info("downloading %s to %s", target.name, target.parent)
            failures = []
            for url in urls:
                failure = _fetch_one(url, target, digest)
                if failure is None:
                    return target
                failures.append(f"{url}: {failure}")
    except OSError as error:
        raise InputError(f"expected a folder that can be written to; got {error}: {remedy}") from None
    reasons = "; ".join(failures)
    raise InputError(f"expected to download {target.name}; got {reasons}: try again to resume, or {remedy}")


def _fetch_one(url: str, target: Path, digest: str | None) -> str | None:
    """Try one address; the reason why it failed, or None."""
    # The address is part of the name: mirrors wrap the same content in different bytes.
    part = target.with_name(f"{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part")
    failure: str | None = None
    for _ in range(ATTEMPTS):
        try:
            _receive(url, part)
            packed = url.endswith(".gz") and not target.name.endswith(".gz")
            _unpack(part, target, digest, packed=packed)
            return None
        except _Corrupt as error:
            part.unlink()
            failure = str(error)
        except urllib.error.URLError as error:  # no such file, no such host: another attempt changes nothing
            return str(error)
        except (OSError, http.client.HTTPException) as error:
            failure = str(error) or type(error).__name__
    return failure


def _receive(url: str, part: Path) -> None:
    """Bring ``part`` to its full length; asks only for the bytes that are missing."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "flowvae"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # all of it was here already
            return
        raise
    with answer:
        resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
        start = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            shutil.copyfileobj(answer, file)
        length = answer.headers.get("Content-Length")
    if length is not None and part.stat().st_size < start + int(length):
        raise ConnectionError(f"the connection broke after {part.stat().st_size} of {start + int(length)} bytes")


def _unpack(part: Path, target: Path, digest: str | None, *, packed: bool) -> None:
    """Bring ``part``, unpacked, to ``target``, in one step that cannot be seen half done."""
    whole = target.with_name(target.name + ".tmp")
    try:
        with gzip.open(part) if packed else part.open("rb") as content, whole.open("wb") as file:
            shutil.copyfileobj(content, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        whole.unlink(missing_ok=True)
        raise _Corrupt(f"a broken .gz file ({error})") from None
    if digest is not None and (found := checksum(whole.read_bytes(), digest)) != digest:
        whole.unlink()
        raise _Corrupt(f"{_named(digest)} {found[:12]}... where {digest[:12]}... is right")
    whole.replace(target)
    part.unlink()


def checksum(content: bytes, like: str) -> str:
    """The checksum of ``content``, of the kind of ``like``: 64 hexadecimal digits are a SHA-256, 32 an MD5."""
    return hashlib.new(_named(like).replace("-", "").lower(), content, usedforsecurity=False).hexdigest()


def _named(digest: str) -> str:
    return "MD5" if len(digest) == 32 else "SHA-256"


def _fits(path: Path, digest: str | None) -> bool:
    return digest is None or checksum(path.read_bytes(), digest) == digest
