"""Files from the network, kept in the store by their sha256 and never downloaded twice."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from builder.archive.file import file_digest
from builder.config.machine import Machine
from builder.errors import BuilderError, UsageError
from builder.stage.store import TreeStore

__all__ = ["download", "download_to", "known_download", "without_login"]

_SECONDS: Final = 60.0
_TRIES: Final = 3
_CHUNK: Final = 1 << 20
_TEMPORARY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def download(url: str, sha256: str, store: TreeStore, machine: Machine) -> Path:
    """The file behind a `file:` or `https:` URL, as it is kept in the store.

    Nothing is fetched when it is there already. Raises `BuilderError` when it cannot be had or has
    other bytes. A password in the URL is sent and never shown.
    """
    if (kept := known_download(sha256, store)) is not None:
        return kept
    _refuse_other_schemes(url)
    with store.exclusive(f"download-{sha256}"):
        if (kept := known_download(sha256, store)) is not None:
            return kept
        kept = store.root / "downloads" / sha256
        kept.parent.mkdir(exist_ok=True)
        partial = kept.with_name(f"{sha256}.part")
        try:
            _fetch(url, partial, machine)
            _verify(url, partial, sha256)
            partial.replace(kept)
        finally:
            partial.unlink(missing_ok=True)
    return kept


def download_to(folder: Path, url: str, machine: Machine) -> Path:
    """The file behind a `file:` or `https:` URL, under its own name in a folder.

    Its bytes are whatever is there, unless the URL ends with `#sha256=HEX`. Raises `UsageError` for
    another URL or one without a file name, `BuilderError` when the file cannot be had.
    """
    _refuse_other_schemes(url)
    parts = urlsplit(url)
    name = unquote(parts.path.rsplit("/", 1)[-1])
    kind, _, sha256 = parts.fragment.partition("=")
    if name in {"", ".", ".."} or "/" in name or "\0" in name or kind not in {"", "sha256"}:
        raise UsageError(
            f"`{without_login(url)}` does not end with the name of a file",
            hint="give the address of one file, with `#sha256=...` behind it if you know that",
        )
    target, whole = folder / name, urlunsplit(parts._replace(fragment=""))
    try:
        _fetch(whole, target, machine)
        if kind:
            _verify(whole, target, sha256.lower())
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def known_download(sha256: str, store: TreeStore) -> Path | None:
    """The file of these bytes that was downloaded before, if there is one and it is whole."""
    kept = store.root / "downloads" / sha256
    return kept if kept.is_file() and file_digest(kept) == sha256 else None


def without_login(url: str) -> str:
    """The same URL without user name and password, fit to be shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _refuse_other_schemes(url: str) -> None:
    if urlsplit(url).scheme not in {"file", "https"}:
        raise UsageError(
            f"`{without_login(url)}` is not a `file:` or `https:` URL",
            hint="give an https URL or an absolute path",
        )


def _verify(url: str, partial: Path, sha256: str) -> None:
    if (actual := file_digest(partial)) != sha256:
        raise BuilderError(
            f"`{without_login(url)}` has other bytes than it should have",
            faults=[f"expected sha256 {sha256}", f"received sha256 {actual}"],
            hint="find out why it changed before you write down another sha256",
        )


def _fetch(url: str, partial: Path, machine: Machine) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            _transfer(url, partial, machine)
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            lasting = isinstance(error, urllib.error.HTTPError) and error.code not in _TEMPORARY
            if lasting or attempt == _TRIES or urlsplit(url).scheme == "file":
                reason = getattr(error, "reason", None) or error
                raise BuilderError(
                    f"`{without_login(url)}` cannot be downloaded: {reason}",
                    hint="check the address, the network, and the proxy and certificate settings",
                ) from error
            time.sleep(attempt)
        else:
            return


def _transfer(url: str, partial: Path, machine: Machine) -> None:
    request = urllib.request.Request(without_login(url), headers=_login(url))  # noqa: S310 - checked
    with _opener(machine).open(request, timeout=_SECONDS) as answer, partial.open("wb") as file:
        expected = answer.headers.get("Content-Length")
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
        if expected is not None and file.tell() != int(expected):
            raise http.client.IncompleteRead(b"", int(expected) - file.tell())


def _login(url: str) -> dict[str, str]:
    login, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return {}
    user, _, password = login.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def _opener(machine: Machine) -> urllib.request.OpenerDirector:
    """What the machine's network settings say, and nothing of this process's environment."""
    network = machine.network
    bundles = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
    bundle = next(
        (network[name] for name in bundles if Path(network.get(name, "")).is_file()), None
    )
    folder = network.get("SSL_CERT_DIR")
    trusted = ssl.create_default_context(cafile=bundle, capath=folder if not bundle else None)
    proxies = {
        scheme: proxy
        for scheme in ("http", "https")
        if (proxy := network.get(f"{scheme}_proxy") or network.get(f"{scheme.upper()}_PROXY"))
    }
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=trusted)
    )
