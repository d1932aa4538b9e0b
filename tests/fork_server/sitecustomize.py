"""Hands a process of a stage, `lesions` or `dvc` to the fork server; each Python imports it as it starts.

What stays of the process passes signals on, and ends as the other one does.
"""

import os
import sys

SCRIPTS = [f"{sys.exec_prefix}/bin/{name}" for name in ("lesions", "dvc")]


def is_served(words: list[str]) -> bool:
    """Whether a command line, Python first, has no option of Python's and runs what the server loads modules for."""
    if words[1:2] == ["-m"]:
        return words[2] == "dvc" or words[2].startswith("stages.")
    return len(words) > 1 and words[1] in SCRIPTS


def owner() -> list[object]:
    """Return this process's environment of packages, user, group of processes and limits."""
    import resource

    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    return [sys.exec_prefix, os.getuid(), os.getgid(), os.getpgrp(), limits]


def hand_over(address: str) -> None:
    """Have this process run by a server, and end as it ends there; return where none takes it.

    Args:
        address: the server's socket.
    """
    import marshal
    import signal
    import socket

    passed_on = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
    ignored = [int(number) for number in passed_on if signal.getsignal(number) is signal.SIG_IGN]
    mask = os.umask(0)
    os.umask(mask)
    request = marshal.dumps([sys.orig_argv, os.getcwd(), dict(os.environ), mask, ignored, owner()])  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as server:
        if server.fileno() <= 2 or any(map(os.isatty, range(3))):  # a standard file is closed, or a terminal
            return
        try:
            server.connect(address)
            socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
            server.sendall(request)
            if not server.recv(1):
                return
        except OSError:
            return
        for number in passed_on:
            if number not in ignored:
                signal.signal(number, lambda number, _: server.sendall(bytes([number])))
        answer = server.recv(4)
    if not answer:
        sys.exit("The fork server ended.")
    status = int.from_bytes(answer, "big", signed=True)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if "TESTS_FORK_SERVER" in os.environ and is_served(sys.orig_argv):
    hand_over(os.environ["TESTS_FORK_SERVER"])
