"""Places that a team shares, each real: an S3 server, an SSH server and a folder, on this machine alone."""

import asyncio
import errno
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh
import boto3
import requests
from moto.core import enable_iam_authentication
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

USER = "anna"
PASSWORD = "correct-horse-battery"  # noqa: S105 - of a server that lives as long as a test


class Store(ABC):
    """A place with files under names; a test looks into it, spoils it, and bounds it.

    Attributes:
        url: the address for `dvc remote add`.
        room: how many bytes can still be written before it is full; None for no bound.
        on_write: called with the number of writes so far, before each.
    """

    url: str

    def __init__(self) -> None:
        self.room: int | None = None
        self.on_write: Callable[[int], None] = lambda _: None
        self._writes = 0

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all files."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a file's content."""

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a file past all bounds."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file."""

    def objects(self) -> dict[str, str]:
        """Return the name of each object of DVC's cache there, by its hash."""
        split = {name: name.rpartition("files/md5/")[2] for name in self.names() if "files/md5/" in name}
        return {rest.replace("/", ""): name for name, rest in split.items() if not rest.endswith(".tmp")}

    def about_to_write(self, size: int) -> None:
        """Say that so many bytes come; raises OSError where they do not fit."""
        self._writes += 1
        self.on_write(self._writes)
        if self.room is not None:
            if size > self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.room -= size


class Folder(Store):
    """A folder, as one that every machine has mounted."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.url = str(folder)

    def names(self) -> list[str]:
        """Return the paths of all files, from the folder."""
        return sorted(file.relative_to(self.folder).as_posix() for file in self.folder.rglob("*") if file.is_file())

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self.folder / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file anew; its mode is as DVC leaves it, since a disk that rots changes no mode."""
        (self.folder / name).unlink()
        (self.folder / name).write_bytes(content)
        (self.folder / name).chmod(0o444)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink()


class SSH(Folder):
    """An SSH server for one user, who sees a folder as the whole of its disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = 0
        self.key = asyncssh.generate_private_key("ssh-ed25519")

    @contextmanager
    def served(self) -> Iterator["SSH"]:
        """Serve it, on a free port."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        acceptor = asyncio.run_coroutine_threadsafe(self._listen(), loop).result()
        self.port = acceptor.get_port()
        self.url = f"ssh://{USER}@127.0.0.1:{self.port}/srv/lesions"
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._close(acceptor), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    @staticmethod
    async def _close(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        await acceptor.wait_closed()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        store = self

        class Doorman(asyncssh.SSHServer):
            def begin_auth(self, _username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == (USER, PASSWORD)

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
                return username == USER and key.public_data == store.key.public_data

        class Files(asyncssh.SFTPServer):
            def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
                super().__init__(chan, chroot=str(store.folder).encode())

            async def write(self, file_obj: object, offset: int, data: bytes) -> int:
                if offset == 0:
                    await asyncio.to_thread(store.about_to_write, len(data))
                elif store.room is not None:
                    store.about_to_write(len(data))
                return super().write(file_obj, offset, data)  # type: ignore[return-value]

        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Doorman,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            sftp_factory=Files,
            allow_scp=False,
        )


class S3(Store):
    """An S3 server with one bucket, which needs keys."""

    BUCKET = "our-lesions"

    def __init__(self) -> None:
        super().__init__()
        self.url = f"s3://{self.BUCKET}/store"
        self.endpoint = ""
        self.key = ("", "")

    def names(self) -> list[str]:
        """Return the keys of the bucket."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.BUCKET)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    def read(self, name: str) -> bytes:
        """Return what lies under a key."""
        body: bytes = self.client().get_object(Bucket=self.BUCKET, Key=name)["Body"].read()
        return body

    def write(self, name: str, content: bytes) -> None:
        """Put it under a key."""
        self.client().put_object(Bucket=self.BUCKET, Key=name, Body=content)

    def remove(self, name: str) -> None:
        """Remove what lies under a key."""
        self.client().delete_object(Bucket=self.BUCKET, Key=name)

    def client(self, service: str = "s3", key: tuple[str, str] | None = None) -> Any:
        """Return a client with the store's own key, or another."""
        name, secret = key or self.key
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            aws_access_key_id=name,
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )

    @contextmanager
    def served(self) -> Iterator["S3"]:
        """Serve it, on a free port."""
        moto = DomainDispatcherApplication(create_backend_app)

        def bounded(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            if environ["REQUEST_METHOD"] == "PUT" and "files/md5/" in environ["PATH_INFO"]:
                try:
                    self.about_to_write(int(environ.get("CONTENT_LENGTH") or 0))
                except OSError:
                    # What MinIO says of a full disk; 403, as 507 would be tried again for a minute.
                    start_response("403 Forbidden", [("Content-Type", "application/xml")])
                    return [b"<Error><Code>QuotaExceeded</Code><Message>the bucket is full</Message></Error>"]
            answer: Iterable[bytes] = moto(environ, start_response)
            return answer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = make_server("127.0.0.1", 0, bounded, threaded=True, request_handler=WSGIRequestHandler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        try:
            first = ("AKIAFIRST", "of nobody")
            requests.post(f"{self.endpoint}/moto-api/reset", timeout=60)  # moto keeps all in the process
            requests.post(f"{self.endpoint}/moto-api/reset", timeout=60)  # moto keeps all in the process
            iam = self.client("iam", first)
            iam.create_user(UserName=USER)
            everything = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
            iam.put_user_policy(UserName=USER, PolicyName="all", PolicyDocument=everything)
            key = iam.create_access_key(UserName=USER)["AccessKey"]
            self.key = (key["AccessKeyId"], key["SecretAccessKey"])
            self.client(key=first).create_bucket(Bucket=self.BUCKET)
            with enable_iam_authentication():
                yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
