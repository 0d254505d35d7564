"""Large files over HTTP: resumed where they broke off, checked, and there whole or not at all."""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from edge_sam.errors import EdgeSamError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and, when the server says so, the bytes of the whole."""

_CHUNK = 2**20
_WORTH_WAITING = (http.HTTPStatus.REQUEST_TIMEOUT, http.HTTPStatus.TOO_MANY_REQUESTS)
_PATIENCE = 60.0  # seconds without a byte, after which a connection counts as broken


def download_checkpoint(
    name: str,
    file_name: str,
    url: str,
    sha256_prefix: str | None = None,
    folder: str | Path = "weights",
    base_url: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch an official checkpoint into ``folder``, unless it is there already (and its digits are right).

    Args:
        name: what the checkpoint is called on the command line, for messages.
        file_name: the name it gets.
        url: where it officially lies.
        sha256_prefix: first hexadecimal digits of its SHA-256, where they are known.
        folder: made when it is not there.
        base_url: a mirror to take ``file_name`` from instead.
        progress: told how far it is.

    Returns:
        The file.

    Raises:
        EdgeSamError: as :func:`download`; or a file of that name is there with other digits.
    """
    path = Path(folder) / file_name
    if base_url is not None:
        url = f"{base_url.rstrip('/')}/{file_name}"
    if path.is_file():
        found = _sha256(path)
        if sha256_prefix is not None and not found.startswith(sha256_prefix):
            raise EdgeSamError(
                f"{path}: not the official {name}: its SHA-256 begins with {found[:8]}, not with {sha256_prefix}; "
                "remove it and download again"
            )
        return path
    return download(url, path, sha256_prefix=sha256_prefix, progress=progress)


def download(
    url: str,
    path: Path,
    *,
    sha256_prefix: str | None = None,
    attempts: int = 5,
    wait: float = 1.0,
    progress: Progress | None = None,
) -> Path:
    """Fetch ``url`` to ``path``, going on from ``path`` + ``.part`` where an earlier call broke off.

    Args:
        url: http or https.
        path: its folder is made when it is not there; an existing file is overwritten.
        sha256_prefix: first hexadecimal digits that the content's SHA-256 must have.
        attempts: connections without a single new byte, in a row, before giving up.
        wait: seconds before the second attempt; doubled each time.
        progress: told how far it is.

    Returns:
        ``path``.

    Raises:
        EdgeSamError: refused by the server (status 4xx), no connection, wrong digits, disk full. The ``.part`` file is
            kept for another call, but not when its digits are wrong.
    """
    if not url.startswith(("http://", "https://")):
        raise EdgeSamError(f"{url}: not an address that begins with http:// or https://")
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch_with_patience(url, part, attempts, wait, progress)
        if sha256_prefix is not None:
            _check_digits(url, part, sha256_prefix)
        part.replace(path)
    except OSError as error:
        raise EdgeSamError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def _check_digits(url: str, part: Path, sha256_prefix: str) -> None:
    found = _sha256(part)
    if not found.startswith(sha256_prefix):
        part.unlink()
        raise EdgeSamError(
            f"{_without_signature(url)}: what arrived has a SHA-256 that begins with {found[:8]}, not with "
            f"{sha256_prefix}; it was thrown away, try again or take the file from another place"
        )


class _Broken(Exception):  # noqa: N818 - the connection is what is broken; another attempt is made
    """This attempt ended early."""


def _fetch_with_patience(url: str, part: Path, attempts: int, wait: float, progress: Progress | None) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            _fetch_rest(url, part, progress)
        except _Broken as error:
            failures = 1 if _size(part) > before else failures + 1
            if failures >= attempts:
                raise EdgeSamError(
                    f"{_without_signature(url)}: {error}, {attempts} times in a row; {_size(part)} bytes are kept in "
                    f"{part}, call again to go on"
                ) from error
            time.sleep(wait * 2 ** (failures - 1))
        else:
            return


def _fetch_rest(url: str, part: Path, progress: Progress | None) -> None:
    """Make one request for what ``part`` lacks, and append it.

    Raises:
        _Broken: worth another attempt.
        EdgeSamError: not worth one.
    """
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as response:
            whole = _whole_size(response, have)
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0  # the server knows no ranges and begins anew
            _append(response, part, have, whole, progress)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                return  # it is all there already
            part.unlink()
            raise _Broken(f"what is kept of it ({have} bytes) does not fit the file") from error
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _WORTH_WAITING:
            raise _Broken(f"HTTP status {error.code} ({error.reason})") from error
        raise HttpRefusal(url, error.code, str(error.reason)) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise EdgeSamError(f"{_without_signature(url)}: not an address ({error})") from error
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _Broken(f"no answer ({getattr(error, 'reason', error) or type(error).__name__})") from error


class HttpRefusal(EdgeSamError):  # noqa: N818 - what the server did
    """The server will not give the file, however often it is asked. ``status`` is the HTTP status."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        super().__init__(f"{_without_signature(url)}: refused by the server (HTTP status {status}, {reason})")
        self.status = status


def _whole_size(response: http.client.HTTPResponse, have: int) -> int | None:
    """Return the size of the whole file, where the server says it; check that a part begins where ours ends."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        unit_and_range, _, whole = response.headers.get("Content-Range", "").partition("/")
        if not unit_and_range.startswith(f"bytes {have}-"):
            raise _Broken(f"asked for byte {have} on, the server sent {unit_and_range or 'something else'}")
        return int(whole) if whole.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _append(
    response: http.client.HTTPResponse, part: Path, have: int, whole: int | None, progress: Progress | None
) -> None:
    with part.open("ab" if have else "wb") as file:
        while chunk := _read(response):
            file.write(chunk)
            have += len(chunk)
            if progress is not None:
                progress(have, whole)
        file.flush()
        os.fsync(file.fileno())
    if whole is not None and have < whole:
        raise _Broken(f"connection ended after {have} of {whole} bytes")
    if whole is not None and have > whole:
        part.unlink()
        raise _Broken(f"{have} bytes came instead of {whole}")


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"connection broke off ({error})") from error


def _without_signature(url: str) -> str:
    """A signed link is a key: it belongs in no log."""
    return url.partition("?")[0]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
