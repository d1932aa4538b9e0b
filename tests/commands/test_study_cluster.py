"""Studies on a Dask cluster: what is refused before anything runs, what comes back, and what a lost worker costs."""

import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile, copytree

import dask
import psutil  # type: ignore[import-untyped]
import pytest
from distributed import LocalCluster

from lesions.commands.study.plan import list_experiments, plan
from lesions.commands.study.run import keep_old
from lesions.commands.study.run import run as run_study
from lesions.commands.study.study import read_study
from lesions.commands.study.worker import fetch, variables
from lesions.core.errors import UserError
from lesions.images import dask_cluster
from tests.commands.test_study import TOO_LARGE, write
from tests.conftest import ROOT, commit, edit_params, run
from tests.images.test_parallel_map import free_port, wait_for
from tests.team.stores import S3, Folder, Store

pytestmark = pytest.mark.usefixtures("home_of_its_own")

EMPTY = hashlib.md5(b"[]", usedforsecurity=False).hexdigest()
"""Of DVC's list of an empty folder."""


@pytest.fixture(scope="module", autouse=True)
def environment() -> Iterator[None]:
    """Take back what a cluster of Dask sets for all processes that start after it, such as OMP_NUM_THREADS."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a commit, of which nothing is shared."""
    folder = tmp_path / "here"
    folder.mkdir()
    copyfile(ROOT / "params.yaml", folder / "params.yaml")
    run("git init --quiet --initial-branch main", folder)
    (folder / ".dvc").mkdir()
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".dvc/config").touch()
    (folder / "dvc.yaml").write_text("stages: {clean: {cmd: none, outs: [data/clean]}}")
    (folder / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  clean:\n    cmd: none\n    outs:\n"
        f"    - {{path: data/clean, hash: md5, md5: {EMPTY}.dir, size: 2, nfiles: 1}}\n"
    )
    write(folder, "mine", [{"name": "a"}])
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def refused(address: str = "tcp://127.0.0.1:1") -> str:
    with pytest.raises(UserError) as error:
        run_study(read_study("mine"), cluster=address)
    return str(error.value)


def test_unshared_project_is_refused(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'origin' does not appear to be a git repository" in refused()
    run(f"git init --quiet --bare --initial-branch main {tmp_path / 'origin.git'}", tmp_path)
    run(f"git remote add origin {tmp_path / 'origin.git'}", here)
    assert "the present commit is not on `origin`, from where workers clone: `git push`" in refused()
    write(here, "other", [{"name": "a"}])
    assert "studies/other.yaml: changed, and not committed" in refused()
    (here / "studies/other.yaml").unlink()
    run("git push --quiet origin main", here)
    assert re.search("`dvc push --run-cache` failed: .*remote", refused())
    store = f"[core]\nremote = team\n['remote \"team\"']\nurl = {tmp_path / 'store'}\n"
    (here / ".dvc/config").write_text(store)
    assert ".dvc/config: changed, and not committed" in refused()
    commit(here)
    run("git push --quiet origin main", here)
    assert "data/clean: dvc.lock names it, and DVC's remote does not hold that" in refused()
    folder = here / ".dvc/cache/files/md5" / EMPTY[:2]
    folder.mkdir(parents=True)
    (folder / f"{EMPTY[2:]}.dir").write_text("[]")
    with monkeypatch.context() as patch:
        patch.setattr(dask_cluster, "SECONDS", 1)
        assert "No Dask scheduler answers at tcp://127.0.0.1:1, which --cluster names" in refused()
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0") as started:
        assert "start each with `--nthreads 1`" in refused(started.scheduler_address)


def test_old_experiment_is_fetched_once(here: Path, tmp_path: Path) -> None:
    """One that is no longer current is kept under another name here, and as it is on `origin`."""
    run(f"git init --quiet --bare {tmp_path / 'origin.git'}", tmp_path)
    run(f"git remote add origin {tmp_path / 'origin.git'}", here)
    head = run("git rev-parse HEAD", here).strip()
    ref = f"refs/exps/{head[:2]}/{head[2:]}/mine-a"
    run(f"git push --quiet origin HEAD:{ref}", here)
    write(here, "mine", [{"name": "a", "set": {"train.seed": 5}}])
    study = read_study("mine")
    fetch(study)
    assert list_experiments() == {"mine-a": [(ref, head)]}
    keep_old(plan(study))
    kept = list_experiments()
    assert list(kept) == [f"mine-a-was-{head[:7]}"]
    fetch(study)
    assert list_experiments() == kept
    assert run("git ls-remote origin refs/exps/*", here).split() == [head, ref]


def test_local_folder_blocks_cluster(here: Path) -> None:
    copytree(ROOT / "presets", here / "presets")
    there = {"download.source": "folder", "download.folder": "data/incoming"}
    merge = [{"source": "folder", "folder": "data/incoming/clinic"}]
    merged = {"download.source": "merged", "download.folder": "data/incoming", "download.merge": merge}
    seed: dict[str, object] = {"name": "b", "set": {"train.seed": 5}}
    write(here, "mine", [{"name": "a", "set": there}, seed, {"name": "c", "set": merged}])
    planned = plan(read_study("mine"), on_cluster=True)
    assert "data/incoming is on this machine alone" in planned[2].blocked
    assert "data/incoming is on this machine alone. Set `download` in params.yaml" in planned[0].blocked
    assert not planned[1].blocked


def test_environment_of_an_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not Dask's, which keeps linear algebra to one thread."""
    for name, value in dask.config.get("distributed.nanny.pre-spawn-environ").items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LESIONS_CLUSTER", "tcp://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "lesions")
    found = variables()
    assert "OMP_NUM_THREADS" not in found
    assert not found["LESIONS_CLUSTER"]
    assert found["AWS_PROFILE"] == "lesions"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert variables()["OMP_NUM_THREADS"] == "4"


# Whole studies


class Cluster:
    """A scheduler, and workers that are started as docs/cluster.md says, each on a machine of its own: a home, a clone.

    Attributes:
        address: the scheduler's.
        scratch: where experiments run.
    """

    def __init__(self, folder: Path) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.scratch = folder / "scratch"
        self._folder = folder
        self._workers: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        words = ("scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2], "--no-dashboard")
        self._scheduler = self._dask(ROOT, *words)

    def start(self, clone: Path) -> None:
        """Start a worker in a clone of the project."""
        port = str(free_port())
        words = ["--nworkers", "1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--worker-port", port]
        worker = self._dask(clone, "worker", self.address, *words, "--local-directory", str(self.scratch / clone.name))
        self._workers[port] = (worker, clone)

    def kill(self, port: str) -> None:
        """Kill a worker, and start another in its place."""
        worker, clone = self._workers[port]
        worker.kill()
        worker.wait(30)
        self.start(clone)

    def _dask(self, clone: Path, *words: str) -> "subprocess.Popen[bytes]":
        home = self._folder / f"home of {clone.name}"
        if not home.exists():
            copytree(os.environ["HOME"], home)
        ours = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PYTHONPATH": str(clone)}
        with (self._folder / f"{clone.name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", "dask", *words], cwd=clone, env=ours, stdout=log, stderr=log)

    def log(self) -> str:
        """Return what all workers have printed."""
        return "".join(file.read_text() for file in self._folder.glob("*.log"))

    def experiments(self) -> list[psutil.Process]:
        """Return the processes that run in a folder of an experiment."""
        found = psutil.process_iter(["cwd"])
        return [process for process in found if str(self.scratch) in (process.info["cwd"] or "")]

    def stop(self) -> None:
        """End all of it."""
        for process in (*(worker for worker, _ in self._workers.values()), self._scheduler):
            process.kill()
            process.wait(30)


def followed(
    words: str, folder: Path, line: str, act: Callable[["subprocess.Popen[str]", "re.Match[str]"], None]
) -> str:
    """Run a command, do something once when it prints a line of that pattern, and return all that it printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    printed, acted = "", False
    with subprocess.Popen(
        words.split(), cwd=folder, env=os.environ | {"PATH": path}, stdout=-1, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for one in process.stdout:
            printed += one
            if (found := re.search(line, one)) and not acted:
                acted = True
                act(process, found)
    return printed + f"status {process.returncode}"


def share(project: Path, folder: Path, store: Store) -> None:
    """Give a project an `origin` and a store, and put all that there is into both."""
    run(f"git init --quiet --bare {folder / 'origin.git'}", folder)
    run(f"git remote add origin {folder / 'origin.git'}", project)
    run(f"dvc remote add --quiet --default team {store.url}", project)
    if isinstance(store, S3):
        run(f"dvc remote modify team endpointurl {store.endpoint}", project)
        sign_in(project, store)
    commit(project)
    run("git push --quiet origin HEAD", project)
    run("dvc push --quiet --run-cache", project)


def sign_in(clone: Path, store: S3) -> None:
    """Put the store's key where only this clone sees it."""
    for name, value in zip(("access_key_id", "secret_access_key"), store.key, strict=True):
        run(f"dvc remote modify --local team {name} {value}", clone)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Cluster]:
    dask = Cluster(tmp_path)
    try:
        yield dask
    finally:
        dask.stop()


@pytest.mark.long
def test_cluster_gives_the_same_bits(workspace: Path, tmp_path: Path, started: Cluster) -> None:
    """Bit for bit, after Ctrl-C, and where a worker is killed in the middle of an experiment."""
    anna, alone = tmp_path / "anna", tmp_path / "alone"
    copytree(workspace, anna, symlinks=True)
    listed: list[dict[str, object]] = [
        {"name": "seed", "each": {"train.seed": [5, 6]}},
        {"name": "split", "set": {"split.seed": 5}},
        {"name": "judged", "set": {"evaluate.seed": 5}},
        {"name": "wrong", "set": {"rebalance.operations": [TOO_LARGE]}},
    ]
    write(
        anna,
        "five",
        listed,
        report="docs/five.md",
        common={"set": {"evaluate.n_bootstrap": 100, "explain.examples_per_class": 1}},
        ladders=[
            {
                "name": "Splits",
                "steps": [{"experiment": name, "shows": name} for name in ("split", "judged", "seed", "wrong")],
            }
        ],
    )
    with S3().served() as store:
        share(anna, tmp_path, store)
        copytree(anna, alone, symlinks=True)
        assert "4 of 5 done" in run("lesions study five", alone, fails=True)

        for name in ("one", "two"):
            run(f"git clone --quiet {tmp_path / 'origin.git'} {tmp_path / name}", tmp_path)
            sign_in(tmp_path / name, store)
            started.start(tmp_path / name)
        words = f"lesions study five --cluster {started.address}"

        printed = followed(words, anna, ": train$", lambda process, _: process.send_signal(signal.SIGINT))
        assert f"Interrupted. `{words}` goes on from here" in printed
        assert printed.endswith("status 1")
        wait_for(lambda: not started.experiments())

        printed = followed(words, anna, r":(\d+): five-(\S+): train$", lambda _, found: started.kill(found[1]))
        assert "4 of 5 done" in printed
        (killed,) = re.findall(r":\d+: five-(\S+): train$", printed, re.MULTILINE)[:1]
        assert len(re.findall(f"five-{killed}: started", printed)) == 2
        assert re.search(r"=== five-wrong failed: on \S+, .* last said:", printed)
        assert "Augmentor's Crop fails" in printed
        assert f"five-wrong failed; the others ran. `{words}` tries again." in printed
        assert "Traceback" not in printed
        assert not [secret for secret in store.key if secret in printed + started.log()]
        wait_for(lambda: not started.experiments() and not list(started.scratch.glob("*/*/experiment-*")))

        for name in ("five-seed-5", "five-seed-6", "five-split", "five-judged"):
            for file in ("dvc.lock", "metrics/evaluate.json", "reports/evaluation.json", "reports/model_card.md"):
                assert shown(anna, name, file) == shown(alone, name, file), f"{name}: {file}"
        for file in ("docs/five.md", "docs/five.png"):
            assert (anna / file).read_bytes() == (alone / file).read_bytes()

        # What `origin` has and Anna has not is fetched, and runs no more.
        (ref,) = run("git for-each-ref --format=%(refname) refs/exps/*/*/five-split", anna).split()
        run(f"git update-ref -d {ref}", anna)
        printed = run(words, anna, fails=True)
        assert set(re.findall(r": (five-\S+): started", printed)) == {"five-wrong"}
        assert "4 of 5 done" in printed


def shown(clone: Path, name: str, file: str) -> str:
    """Return a file of an experiment, as Git has it."""
    (ref,) = run(f"git for-each-ref --format=%(refname) refs/exps/*/*/{name}", clone).split()
    return run(f"git show {ref}:{file}", clone)


@pytest.mark.long
def test_workers_pull_images_of_a_folder(workspace: Path, tmp_path: Path, started: Cluster) -> None:
    """They pull what `download` has made of it."""
    anna = tmp_path / "anna"
    copytree(workspace, anna, symlinks=True)
    (anna / "data/incoming").mkdir()
    for file in (anna / "data/raw").glob("*.zip"):
        copyfile(file, anna / "data/incoming" / file.name)
    copyfile(anna / "data/raw/metadata.csv", anna / "data/incoming/HAM10000_metadata.csv")
    edit_params(anna, download={"source": "folder", "folder": "data/incoming"})
    run("dvc repro", anna)
    write(anna, "mine", [{"name": "b", "set": {"split.seed": 3, "prepare.image_size": 20, "train.epochs": 1}}])
    store = Folder(tmp_path / "store")
    share(anna, tmp_path, store)
    run(f"git clone --quiet {tmp_path / 'origin.git'} {tmp_path / 'one'}", tmp_path)
    started.start(tmp_path / "one")
    assert "1 of 1 done" in run(f"lesions study mine --cluster {started.address}", anna)
    assert not (tmp_path / "one/data/incoming").exists()
    assert "1 of 1 done" in run("lesions study mine --dry", anna)  # on one machine too
    (anna / "data/incoming/HAM10000_metadata.csv").open("a").write("\n")
    printed = run(f"lesions study mine --dry --cluster {started.address}", anna)
    assert "data/incoming, or what reads it, is not what dvc.lock says" in printed
