"""Loads once what takes long to load, then forks for each process that `sitecustomize.py` hands over.

No thread of TensorFlow's runs before a fork, as it starts them with its first operation; OpenBLAS starts its own anew.
"""

import atexit
import gc
import importlib
import marshal
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pygit2

HERE = Path(__file__).parent
MAY_DIFFER = {"_", "COLUMNS", "LINES", "OLDPWD", "PATH", "PWD", "PYTEST_CURRENT_TEST", "SHLVL"}
MAY_DIFFER_FROM = ("AWS_", "DVC_", "GIT_", "LESIONS_", "OUR_")
"""Environment variables, and with what others begin, that no module reads as it loads."""
MODULES = """
pandas scipy.ndimage scipy.optimize scipy.sparse.csgraph scipy.spatial scipy.special scipy.stats
sklearn.covariance sklearn.decomposition sklearn.manifold sklearn.metrics.cluster
matplotlib.figure matplotlib.pyplot matplotlib.backends.backend_agg seaborn
Augmentor PIL.Image PIL.ImageFilter PIL.JpegImagePlugin PIL.PngImagePlugin h5py
filelock jinja2 joblib joblib.externals.loky markdown_it platformdirs pydantic requests ruamel.yaml tornado.httpserver
tornado.web tqdm
dvc.api dvc.cli.parser dvc.fs.data dvc.fs.git dvc.repo.experiments.executor.local dvc.repo.experiments.queue.celery
dvc.repo.experiments.queue.workspace dvc.repo.experiments.run dvc.repo.experiments.show dvc.repo.metrics.show
dvc.repo.params.show dvc.repo.plots dvc.repo.reproduce dvc.stage.cache dvc.stage.imports dvc.stage.run dvc_data.index
dvc_objects.fs.system asyncssh s3fs
"""
"""What stages, `lesions` and `dvc` import, beside Keras and TensorFlow, and nothing that reads HOME for `dvc`."""


class Request(NamedTuple):
    """A process that wants to be run: its command line, Python first, and what it inherited."""

    words: list[str]
    folder: str
    environment: dict[str, str]
    mask: int
    ignored: list[int]
    owner: list[Any]
    files: list[int]

    @property
    def is_dvc(self) -> bool:
        """Whether it is DVC."""
        return self.words[1:3] == ["-m", "dvc"] or Path(self.words[1]).name == "dvc"


def environment(folder: Path) -> dict[str, str]:
    """Return the environment variables by which processes find a server whose socket is in a folder."""
    path = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"TESTS_FORK_SERVER": str(folder / "socket"), "PYTHONPATH": os.pathsep.join(path)}


@contextmanager
def started() -> Iterator[None]:
    """Run a server at the address of the environment, where the system is Linux; it loads at the first process."""
    if sys.platform != "linux":
        yield
        return
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.environ["TESTS_FORK_SERVER"])
        listener.listen(64)
        command = [sys.executable, __file__, str(listener.fileno())]
        nowhere, passed = subprocess.DEVNULL, [listener.fileno()]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, pass_fds=passed)
    with server:  # it ends when its standard input does
        yield


def load() -> None:
    """Import the modules; TensorFlow as `lesions.models.common.determinism` does, without what Keras need not have."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    unused: dict[str, Any] = {"sklearn": None, "matplotlib": None}
    sys.modules.update(unused)
    importlib.import_module("tensorflow")
    importlib.import_module("keras")
    for name in unused:
        del sys.modules[name]
    for name in MODULES.split():
        with suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the first collection of each process would copy all of memory


class Server:
    """What waits for processes, and forks for them."""

    def __init__(self, listener: socket.socket) -> None:
        self.environment = dict(os.environ)
        self.owner = sys.modules["sitecustomize"].owner()  # this Python has imported it, too
        self.set_by_loading: set[tuple[str, str]] = set()
        self.loaded = False
        self.waiting = selectors.DefaultSelector()
        self.waiting.register(listener, selectors.EVENT_READ, self.accept)
        self.waiting.register(0, selectors.EVENT_READ)

    def serve(self) -> Request | None:
        """Fork for each process that comes; return its request in each fork, and none in the server at its end."""
        while True:
            for key, _ in self.waiting.select()[:1]:  # what is done may be the end of others
                if key.fd == 0:
                    return None
                request: Request | None = key.data(key.fileobj)
                if request:
                    return request

    def accept(self, listener: socket.socket) -> Request | None:
        """Fork for a process, or leave it alone; return its request in the fork."""
        connection, _ = listener.accept()
        request = receive(connection)
        if not self.takes(request):
            connection.close()
        elif (process := self.fork()) == 0:
            connection.close()
            return request
        else:
            with suppress(ConnectionError):
                connection.sendall(b"y")
            ended = os.pidfd_open(process)
            self.waiting.register(connection, selectors.EVENT_READ, partial(self.pass_on, ended))
            self.waiting.register(ended, selectors.EVENT_READ, partial(self.end, process, connection))
        for file in request.files:
            os.close(file)
        return None

    def takes(self, request: Request) -> bool:
        """Whether the modules would load alike in a process, and it has packages, user and limits of this one.

        What loading sets, the tests' own process has too, once a test of it has loaded the same.
        """
        self.load_once()
        may_differ = MAY_DIFFER | ({"HOME"} if request.is_dvc else set())
        ours, theirs = (
            {(name, one[name]) for name in one.keys() - may_differ if not name.startswith(MAY_DIFFER_FROM)}
            for one in (self.environment, request.environment)
        )
        return ours - self.set_by_loading == theirs - self.set_by_loading and request.owner == self.owner

    def load_once(self) -> None:
        """Load the modules, and note which environment variables that sets."""
        if not self.loaded:
            load()
            self.set_by_loading = set(os.environ.items()) - set(self.environment.items())
            self.loaded = True

    def fork(self) -> int:
        """Fork as `os.fork` does, and in the fork without the server's files."""
        process = os.fork()
        if process == 0:
            for key in list(self.waiting.get_map().values()):
                os.close(key.fd)
            self.waiting.close()
        return process

    def pass_on(self, ended: int, connection: socket.socket) -> None:
        """Pass on the signals that what stayed of a process has got; where it was killed, kill."""
        numbers = b""
        with suppress(ConnectionError):
            numbers = connection.recv(16)
        for number in numbers or [signal.SIGKILL]:
            signal.pidfd_send_signal(ended, number)
        if not numbers:
            self.waiting.unregister(connection)

    def end(self, process: int, connection: socket.socket, ended: int) -> None:
        """Say how a process ended."""
        _, status = os.waitpid(process, 0)
        with suppress(OSError):
            connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
        for file in {ended, connection.fileno()} & set(self.waiting.get_map()):
            self.waiting.unregister(file)
        os.close(ended)
        connection.close()


def receive(connection: socket.socket) -> Request:
    """Return what a process sends."""
    length, files, _, _ = socket.recv_fds(connection, 4, 3)
    with connection.makefile("rb") as stream:
        content = stream.read(int.from_bytes(length, "big"))
    words, folder, environment, mask, ignored, owner = marshal.loads(content)  # noqa: S302 - of our own processes
    return Request(words, folder, environment, mask, ignored, owner, files)


def become(request: Request) -> None:
    """Make of this fork what the process was before its first line."""
    for number, file in enumerate(request.files):
        os.dup2(file, number)
        os.close(file)
    if not request.is_dvc:  # which loads colorama, which wraps these
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    os.chdir(request.folder)
    os.umask(request.mask)
    os.environ.clear()
    os.environ.update(request.environment)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN if number in request.ignored else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN if signal.SIGINT in request.ignored else signal.default_int_handler)
    np.random.seed()  # else all processes would draw alike
    home = Path.home()
    pygit2.settings.search_path[pygit2.enums.ConfigLevel.GLOBAL] = str(home)
    pygit2.settings.search_path[pygit2.enums.ConfigLevel.XDG] = str(home / ".config/git")


def run(words: list[str]) -> NoReturn:
    """Run a command line, and end as Python does, but without taking its modules apart: that would copy memory."""
    status: object = None
    try:
        if words[1] == "-m":
            sys.path[0], sys.argv = str(Path.cwd()), words[2:]
            runpy.run_module(words[2], run_name="__main__", alter_sys=True)
        else:
            sys.path[0], sys.argv = str(Path(words[1]).parent), words[1:]
            runpy.run_path(words[1], run_name="__main__")
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = "failed"
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    code = status if isinstance(status, int) else int(status is not None)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = 120
    os._exit(code)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    request = Server(socket.socket(fileno=int(sys.argv[1]))).serve()
    if request:
        become(request)
        run(request.words)
