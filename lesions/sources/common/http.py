"""HTTP requests: the user agent, how long an answer may take, and when a request is repeated."""

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from http.client import responses
from time import sleep
from typing import Any

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
CHUNK = 1 << 20
"""Bytes read at once, at most."""
LONGEST_WAIT = 300.0
"""Seconds that one wait may take, even where the server wants a longer one."""

_TRANSIENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_of_thread = threading.local()


class WebError(UserError):
    """An address gave no answer, or none that can be used.

    Attributes:
        status: the HTTP status, which is 200 where the trouble is with what was given, or None: no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def get(url: str, *, headers: dict[str, str] | None = None, stream: bool = False) -> requests.Response:
    """Send a GET request, again after a pause where the trouble may pass, and return the answer.

    Asked again are addresses that refuse or drop the connection, that stay silent, or that answer 429
    (too many requests) or 5xx; after the time in `Retry-After` where the server gives one (RFC 9110, 10.2.3).

    Args:
        url: the address.
        headers: sent along, besides `USER_AGENT`.
        stream: leave the body to the caller, who closes the answer.

    Raises:
        WebError: any other status than 2xx, or none after `ATTEMPTS`.
    """
    problem = ""
    status = None
    for attempt in range(1, ATTEMPTS + 1):
        retry_after = None
        try:
            answer = _session().get(url, headers=headers, stream=stream, timeout=(CONNECT_SECONDS, SILENCE_SECONDS))
        except _TRANSIENT as error:
            problem, status = _describe(error), None
        except (requests.RequestException, ValueError) as error:  # some wrong addresses are the latter
            raise WebError(f"{url}: {error}") from None
        else:
            status = answer.status_code
            if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
                return answer
            answer.close()
            problem = f"answered {status} ({responses.get(status, 'no known status')})"
            if not may_pass(status):
                raise WebError(f"{url}: {problem}", status)
            retry_after = answer.headers.get("Retry-After")
        if attempt < ATTEMPTS:
            wait(attempt, f"{url}: {problem}", retry_after)
    raise WebError(f"{url}: {problem}, {ATTEMPTS} times", status)


def get_json(url: str) -> Any:
    """Return what an address answers as JSON.

    Raises:
        WebError: as `get`, or the answer is no JSON.
    """
    answer = get(url, headers={"Accept": "application/json"})
    try:
        return answer.json()
    except (ValueError, RecursionError):
        kind = answer.headers.get("Content-Type", "something without a type")
        raise WebError(
            f"{url}: expected JSON, but the answer is {kind} and begins with {answer.text[:60]!r}. Open the address "
            "in a browser: a log-in page or a proxy may stand in between, or the service has changed.",
            answer.status_code,
        ) from None


class BrokenOffError(Exception):
    """An answer ended before it was complete."""


def body(response: requests.Response) -> Iterator[bytes]:
    """Yield an answer's bytes as they arrive, with nothing waited for that a break would lose.

    Raises:
        BrokenOffError: the connection was lost, or the server fell silent.
    """
    while True:
        try:
            chunk: bytes = response.raw.read1(CHUNK, decode_content=False)
        except HTTPError as error:
            silent = isinstance(error, ReadTimeoutError)
            raise BrokenOffError(f"silent for {SILENCE_SECONDS:g} s" if silent else "broke off") from None
        if not chunk:
            return
        yield chunk


def may_pass(status: int | None) -> bool:
    """Whether what is behind a status, or behind no answer at all, may have passed at the next request."""
    return status is None or status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def wait(attempt: int, problem: str, retry_after: str | None = None) -> None:
    """Pause after a failed attempt: longer each time, by chance a little more or less, so that clients spread out.

    Args:
        attempt: how many have failed in a row, from 1.
        problem: what is said where the pause is long enough to be noticed.
        retry_after: the server's header of that name, seconds or a date; never waited less than that,
            nor longer than `LONGEST_WAIT`.
    """
    seconds = FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 (no secret)
    with suppress(InvalidHeader, ValueError, OverflowError):  # then as if there were none
        seconds = max(seconds, Retry().parse_retry_after(retry_after or "0"))
    seconds = min(seconds, LONGEST_WAIT)
    if seconds >= 2:
        tqdm.write(f"{problem}; next attempt in {seconds:.0f} s", file=sys.stderr)
    sleep(seconds)


def _session() -> requests.Session:
    """Return this thread's session, which keeps connections open; sessions are not made to be shared by threads."""
    if not hasattr(_of_thread, "session"):
        _of_thread.session = requests.Session()
        _of_thread.session.headers["User-Agent"] = USER_AGENT
    session: requests.Session = _of_thread.session
    return session


def _describe(error: requests.RequestException) -> str:
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, requests.ReadTimeout):
        return f"silent for {SILENCE_SECONDS:g} s"
    # requests wraps urllib3, which wraps the system's error: the last one says it in words.
    cause = error.args[0] if error.args else error
    return f"no answer ({str(getattr(cause, 'reason', cause)).rpartition(': ')[2]})"
