"""HTTP requests: the user agent, how long an answer may take, and when a request is repeated."""

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.client import responses
from time import sleep
from typing import Any, TypeVar

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util import Retry

from lesions.core.errors import UserError

USER_AGENT = "lesion-pipeline/0.1 (reproducible training of dermoscopy classifiers)"
"""The name sent with each request. Dataverse answers 403 to the names that Python's clients give by default."""
CONNECT_SECONDS = 10.0
"""How long a connection may take."""
SILENCE_SECONDS = 60.0
"""How long a server may send nothing, before the answer or in the middle of it."""
ATTEMPTS = 5
"""How often an address is tried before it is given up."""
FIRST_WAIT = 1.0
"""Seconds before the second attempt, about; each further wait is twice as long."""
LONGEST_WAIT = 300.0
"""Seconds that one wait may take, even where the server wants a longer one."""
CHUNK = 1 << 20
"""Bytes read at once, at most."""

_TRANSIENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_thread_local = threading.local()
T = TypeVar("T")


class WebError(UserError):
    """An address gave no answer, or none that can be used.

    Attributes:
        status: the HTTP status, which is 200 where the trouble is with what was given, or None: no answer.
        transient: whether the next request may succeed.
        retry_after: the server's header of that name, seconds or a date.
    """

    def __init__(
        self, message: str, status: int | None = None, *, transient: bool = False, retry_after: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.transient = transient
        self.retry_after = retry_after


def retry(attempt: Callable[[], T], progress: Callable[[], int] = int) -> T:
    """Return what an attempt returns; after a transient error pause, and try again.

    Args:
        attempt: what is tried.
        progress: how far the attempts have come; `ATTEMPTS` in a row that get no further are the last.

    Raises:
        WebError: the attempt's; a transient one only once all attempts have failed.
    """
    furthest = progress()
    failures = 0
    while True:
        try:
            return attempt()
        except WebError as error:
            if not error.transient:
                raise
            failures = 1 if progress() > furthest else failures + 1
            furthest = max(furthest, progress())
            if failures == ATTEMPTS:
                times = f"{failures} times without getting further" if furthest else f"{failures} times"
                raise WebError(f"{error}, {times}", error.status, transient=True) from None
            _wait(failures, error)


def request(url: str, headers: dict[str, str], *, stream: bool = False) -> requests.Response:
    """Send one GET request, and return an answer of status 2xx or 416 (no such range).

    Args:
        url: the address.
        headers: sent along, besides `USER_AGENT`.
        stream: leave the body to the caller, who closes the answer.

    Raises:
        WebError: there is no answer, or one of another status. It is transient where the address refuses or drops
            the connection, stays silent, or answers 429 (too many requests) or 5xx.
    """
    try:
        answer = _session().get(url, headers=headers, stream=stream, timeout=(CONNECT_SECONDS, SILENCE_SECONDS))
    except _TRANSIENT as error:
        raise WebError(f"{url}: {_describe(error)}", transient=True) from None
    except (requests.RequestException, ValueError) as error:  # some wrong addresses are the latter
        raise WebError(f"{url}: {error}") from None
    status = answer.status_code
    if 200 <= status < 300 or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return answer
    answer.close()
    raise WebError(
        f"{url}: answered {status} ({responses.get(status, 'no known status')})",
        status,
        transient=status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR,
        retry_after=answer.headers.get("Retry-After"),
    )


def get_json(url: str) -> Any:
    """Return what an address answers as JSON; a WebError where there is no answer, or it is none."""
    answer = retry(lambda: request(url, {"Accept": "application/json"}))
    try:
        return answer.json()
    except (ValueError, RecursionError):
        kind = answer.headers.get("Content-Type", "something without a type")
        raise WebError(
            f"{url}: expected JSON, but the answer is {kind} and begins with {answer.text[:60]!r}. Open the address "
            "in a browser: a log-in page or a proxy may stand in between, or the service has changed.",
            answer.status_code,
        ) from None


def body(response: requests.Response) -> Iterator[bytes]:
    """Yield an answer's bytes as they arrive, so that a break loses none; a WebError where it breaks off."""
    while True:
        try:
            chunk: bytes = response.raw.read1(CHUNK, decode_content=False)
        except HTTPError as error:
            silent = isinstance(error, ReadTimeoutError)
            raise WebError(f"silent for {SILENCE_SECONDS:g} s" if silent else "broke off", transient=True) from None
        if not chunk:
            return
        yield chunk


def _wait(failures: int, error: WebError) -> None:
    """Pause: longer each time, by chance a little more or less, so that clients spread out.

    Never shorter than the server wants (Retry-After: RFC 9110, 10.2.3), nor longer than `LONGEST_WAIT`.
    """
    seconds = FIRST_WAIT * 2 ** (failures - 1) * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)
    with suppress(InvalidHeader, ValueError, OverflowError):  # then as if there were none
        seconds = max(seconds, Retry().parse_retry_after(error.retry_after or "0"))
    seconds = min(seconds, LONGEST_WAIT)
    if seconds >= 2:
        tqdm.write(f"{error}; next attempt in {seconds:.0f} s", file=sys.stderr)
    sleep(seconds)


def _session() -> requests.Session:
    """Return this thread's session, which keeps connections open; sessions are not made to be shared by threads."""
    if not hasattr(_thread_local, "session"):
        _thread_local.session = requests.Session()
        _thread_local.session.headers["User-Agent"] = USER_AGENT
    session: requests.Session = _thread_local.session
    return session


def _describe(error: requests.RequestException) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.ReadTimeout):
        return f"silent for {SILENCE_SECONDS:g} s"
    # requests wraps urllib3, which wraps the system's error: the last one says it in words.
    cause = error.args[0] if error.args else error
    return f"no answer ({str(getattr(cause, 'reason', cause)).rpartition(': ')[2]})"
