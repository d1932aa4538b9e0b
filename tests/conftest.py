"""A small copy of the project in which the whole pipeline has run, shared by the tests that need one."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from shutil import copyfile, copytree
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo
from filelock import FileLock
from hypothesis import settings
from ruamel.yaml import YAML

from lesions.cli import main
from lesions.core.csv_files import EXACT
from lesions.core.json_files import write_json
from lesions.core.signals import ENDING
from lesions.taxonomy import about, ordered
from tests.browser import start
from tests.fork_server import server

ROOT = Path(__file__).parent.parent

# No test is timed: a slow machine is no defect.
settings.register_profile("untimed", deadline=None)
settings.register_profile("many", deadline=None, max_examples=20_000)
settings.load_profile("untimed")

# A run in the background begins with Ctrl-C ignored, and so would all that the tests start, and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
HANDLERS = {number: signal.getsignal(number) for number in ENDING}


def pytest_configure(config: pytest.Config) -> None:
    """Keep checkpoints apart from the user's: else a test would go on from where the last run of it was interrupted."""
    if "PYTEST_XDIST_WORKER" not in os.environ:  # whose processes inherit this one's environment
        folder = TemporaryDirectory()
        config.add_cleanup(folder.cleanup)
        os.environ["XDG_CACHE_HOME"] = folder.name


@pytest.fixture(scope="session", autouse=True)
def fork_server() -> Iterator[dict[str, str]]:
    """Let processes that tests start begin with TensorFlow loaded; yield the environment variables at the beginning."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        for name, value in server.environment(Path(folder)).items():
            patch.setenv(name, value)
        with server.started():
            yield dict(os.environ)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Handle signals as at the beginning: a command or stage that ran in this process ignores them once it is done.

    Before a test, too: what ran may have been a fixture of its whole module.
    """
    reset_signals()
    yield
    reset_signals()


def reset_signals() -> None:
    """Give each signal the handler that it had at the beginning."""
    for number, handler in HANDLERS.items():
        signal.signal(number, handler)


def stages_run(printed: str) -> list[str]:
    """Return which stages `dvc repro` ran, in order, but for `check`, which it always runs."""
    return [stage for stage in re.findall(r"Running stage '(\w+)'", printed) if stage != "check"]


class Printed(NamedTuple):
    """What a command of ours printed, and the status with which it ended."""

    stdout: str
    stderr: str
    status: int


def lesions(folder: Path, *words: str | Path) -> Printed:
    """Run `lesions` in this process, where TensorFlow need not be loaded again."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["lesions", *map(str, words)])
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            if isinstance(end.code, str):  # Python prints it
                print(end.code, file=sys.stderr)
    return Printed(out.getvalue(), err.getvalue(), status)


def reproduce(folder: Path) -> list[str]:
    """Run `dvc repro` in this process, where it need not start; return which stages ran, but for `check`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        with Repo() as repo:
            return [stage.name for stage in repo.reproduce() if stage.name != "check"]


SMALL: dict[str, dict[str, object]] = {
    "download": {"n_images": 120},
    "prepare": {"image_size": 24},
    "rebalance": {"target": 0.3},
    "train": {"epochs": 2, "batch_size": 16},
    "calibrate": {"use_metadata": True, "optimise": "balanced_accuracy"},
}
"""Values under which the whole pipeline takes half a minute."""


def run(command: str, folder: Path, *, fails: bool = False, timeout: int = 900) -> str:
    """Run a command line there and return all that it printed; it must succeed, or fail, as said."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        command.split(), check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )
    printed = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, printed[-4000:]
    return printed


def edit_params(folder: Path, **sections: Mapping[str, object]) -> None:
    """Change values in a copy's params.yaml, as a person would; comments stay."""
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    for section, values in sections.items():
        params[section].update(values)
    yaml.dump(params, folder / "params.yaml")


def copy_of_tree(folder: Path) -> Path:
    """Copy what Git tracks, or would, into a repository of its own."""
    listed = run("git ls-files --cached --others --exclude-standard -z", ROOT)
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copyfile(ROOT / name, folder / name)
    run("git init --quiet", folder)
    run("git config user.email test@example.org", folder)
    run("git config user.name test", folder)
    return folder


def small_clone(folder: Path) -> Path:
    """Make a copy with small parameters, committed."""
    copy_of_tree(folder)
    edit_params(folder, **SMALL)
    commit(folder)
    return folder


def put_clean(folder: Path, images: pd.DataFrame) -> None:
    """Write what calibrate reads of download's and clean's; of the images' patients nothing is known."""
    for name in ("raw", "clean"):
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
    write_json(folder / "data/raw/provenance.json", {"source": "ham10000"})
    unknown = dict.fromkeys(("lesion_id", "age", "age_status", "sex", "site", "skin_tone", "source", "dx_type"), "")
    images.assign(**unknown).to_csv(folder / "data/clean/images.csv", index=False)
    labels = ordered(set(images["label"]))
    rows = [(label, about(label).name, about(label).malignancy, label) for label in labels]
    table = pd.DataFrame(rows, columns=["label", "name", "malignancy", "diagnoses"])
    table.to_csv(folder / "data/clean/classes.csv", index=False)


def put_network_outputs(folder: Path, table: pd.DataFrame) -> None:
    """Write what calibrate reads of predict's: no image is corrupted, and the features are noise."""
    outputs = folder / "data/network_outputs"
    outputs.mkdir(parents=True, exist_ok=True)
    table.to_csv(outputs / "predictions.csv", index=False, float_format=EXACT)
    table.iloc[:0].assign(corruption="", severity="").to_csv(outputs / "corrupted.csv", index=False)
    known = table[["image_id", "split", "label", "leakage"]]
    train = known.assign(image_id="train " + known["image_id"], split="train")
    index = pd.concat([train, known])
    index.to_csv(outputs / "features.csv", index=False)
    np.save(outputs / "features.npy", np.random.default_rng(0).normal(size=(len(index), 3)).astype(np.float32))
    write_json(outputs / "model.json", {"sha256": {}, "tta": False})


def commit(folder: Path) -> None:
    """Commit all that there is."""
    run("git add --all", folder)
    run("git commit --quiet --message state", folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and with the pipeline: it makes the workspace while explain's tests need none."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


LONGEST = [
    *("test_pipeline", "test_explain", "test_training", "test_docs", "test_own_data", "test_study", "test_team"),
    *("test_classify", "test_plots", "test_pretrained", "test_remote", "test_saving", "test_audit", "test_card"),
]


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small clone in which `dvc repro` ran and the result is committed; tests leave it as it was.

    Of several processes of tests the first makes it, and the others copy it.
    """
    ours = tmp_path_factory.mktemp("first") / "clone"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return finished_clone(ours)
    shared = tmp_path_factory.getbasetemp().parent / "workspace"
    with FileLock(f"{shared}.lock"):
        if not (shared / "clone").exists():
            finished_clone(shared / "unfinished")
            (shared / "unfinished").rename(shared / "clone")
    return copytree(shared / "clone", ours, symlinks=True)


def finished_clone(folder: Path) -> Path:
    """Make a small clone in which the whole pipeline ran, committed."""
    small_clone(folder)
    run("dvc repro", folder)
    commit(folder)
    return folder


@pytest.fixture
def models(workspace: Path, tmp_path: Path) -> Path:
    """A model's folder that a test may change."""
    folder = tmp_path / "models"
    folder.mkdir()
    for file in (workspace / "models").iterdir():
        copyfile(file, folder / file.name)
    return folder


@pytest.fixture(scope="module")
def home_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder in which nobody's keys, profiles and settings count."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("HOME", str(folder))
        for name in (*(name for name in os.environ if name.startswith("AWS_")), "SSH_AUTH_SOCK"):
            patch.delenv(name, raising=False)
        settings = "[user]\nname = test\nemail = test@example.org\n[safe]\ndirectory = *\n"
        (folder / ".gitconfig").write_text(settings)
        yield folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, driven by selenium."""
    driver = start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()
