"""Official files of a data set: found on the disk by their checksum, or downloaded once."""

import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowvae.data.fetch import cache_home, checksum, fetch
from flowvae.errors import InputError


def official(name: str, folder: str, digest: str | None, urls: Sequence[str], dir: str, *also: str) -> bytes:
    """The bytes of the file ``name``: from ``dir`` or its ``folder``, else from the cache, else from ``urls``.

    It may lie there packed, as ``name``.gz, or in other folders of ``dir`` that are ``also`` in use. ``digest`` is its
    SHA-256, its MD5 where no other is known, or None where the caller looks at the content. Raises `InputError` where
    ``dir`` has no such file, or the download fails.
    """
    home = Path(dir).expanduser() if dir else cache_home()
    places = [home, *(home / place for place in (folder, *also))]
    found = [path for place in places for path in (place / name, place / f"{name}.gz") if path.is_file()]
    for path in found:
        content = path.read_bytes() if path.name == name else _unpacked(path)
        if content is not None and (digest is None or checksum(content, digest) == digest):
            return content
    if dir:
        got = f"{found[0]} with another checksum" if found else "no such file"
        raise InputError(
            f"expected the official {name} in {dir!r} or its {folder}/; got {got}: "
            "check data.dir, or leave it out to download"
        )
    remedy = "name a folder that has the file as data.dir"
    return fetch(urls, cache_home() / folder / name, digest, remedy=remedy).read_bytes()


def _unpacked(path: Path) -> bytes | None:
    """The content of a .gz file; None where it is broken."""
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return None


def matlab(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of a .mat file; none where the content is another."""
    from scipy.io import loadmat  # type: ignore[import-untyped]  # not above: its import sets a variable

    try:
        return loadmat(io.BytesIO(content))
    except Exception:  # what it raises depends on what it takes the content for
        return {}
