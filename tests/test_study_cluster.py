"""Studies on a Dask cluster: what is refused before anything runs, what comes back, and what a lost worker costs."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile, copytree

import dask
import pytest
from distributed import LocalCluster
from ruamel.yaml import YAML

from lesions.errors import UserError
from lesions.parallel import cluster
from lesions.studying import on_cluster, running, sharing
from lesions.studying.on_worker import attended, surroundings, versions, without_passwords
from lesions.studying.study import read_study
from tests.conftest import ROOT, commit, edit_params, run
from tests.test_parallel import alive, wait_for
from tests.test_study import TOO_LARGE, write

pytestmark = pytest.mark.usefixtures("home_of_its_own")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a commit, of which nothing is shared."""
    folder = tmp_path / "here"
    folder.mkdir()
    copyfile(ROOT / "params.yaml", folder / "params.yaml")
    run("git init --quiet --initial-branch main", folder)
    run("dvc init --quiet", folder)
    (folder / "dvc.yaml").write_text("stages: {clean: {cmd: none, outs: [data/clean]}}")
    (folder / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  clean:\n    cmd: none\n    outs:\n"
        f"    - {{path: data/clean, hash: md5, md5: {'0' * 32}.dir, size: 1, nfiles: 1}}\n"
    )
    write(folder, "mine", [{"name": "a"}])
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def refused() -> str:
    with pytest.raises(UserError) as error:
        on_cluster.run(read_study("mine"), "tcp://127.0.0.1:1")
    return str(error.value)


def test_what_workers_need_is_said_before_anything_runs(here: Path, tmp_path: Path) -> None:
    assert "Git has no remote `origin`" in refused()
    run(f"git init --quiet --bare --initial-branch main {tmp_path / 'origin.git'}", tmp_path)
    run(f"git remote add origin {tmp_path / 'origin.git'}", here)
    assert re.search("the present commit, .{7}, is not on `origin`.*: `git push`", refused())
    run("git push --quiet origin main", here)
    assert "there is no store: DVC has no default remote" in refused()
    run(f"dvc remote add --quiet --default team {tmp_path / 'store'}", here)
    assert ".dvc/config: changed, and not committed" in refused()
    commit(here)
    run("git push --quiet origin main", here)
    assert re.search("data/clean: dvc.lock names it, and the store does not.*`dvc push --run-cache`", refused())
    folder = tmp_path / "store/files/md5/00"
    folder.mkdir(parents=True)
    (folder / f"{'0' * 30}.dir").write_text("[]")
    assert "No Dask scheduler answers at tcp://127.0.0.1:1, which --cluster names" in refused()

    # And of workers, one after the other; they are started in a clone.
    other = tmp_path / "other"
    run(f"git clone --quiet {tmp_path / 'origin.git'} {other}", tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(other)
        started = LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0")
    with started, cluster.client_of(started.scheduler_address, "--cluster") as client:

        def unfit() -> str:
            with pytest.raises(UserError) as error:
                on_cluster.refuse_unfit_workers(client)
            return str(error.value)

        assert re.search(rf"worker tcp://\S+, in {other}, has 2 threads.*--nthreads 1", unfit())
        run(f"git init --quiet --bare {tmp_path / 'fork.git'}", tmp_path)
        run(f"git remote set-url origin {tmp_path / 'fork.git'}", other)
        assert "has another `origin` than this machine" in unfit()
        run(f"git remote set-url origin http://anna:secret@127.0.0.1:1{tmp_path}", other)
        assert "cannot take part: `git ls-remote" in unfit()
        assert "secret" not in unfit()
        run(f"git remote set-url origin {tmp_path / 'origin.git'}", other)
        run("dvc remote modify --local team url /elsewhere", other)
        assert f"has another store, /elsewhere, than this machine: {tmp_path / 'store'}" in unfit()
        run("dvc config --unset core.remote", other)
        assert "cannot take part: there is no store" in unfit()
        ours = versions()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(on_cluster, "versions", lambda: ours | {"keras": "2.0"})
            assert f"has keras {ours['keras']} instead of 2.0" in unfit()


def test_a_folder_of_this_machine_must_be_what_dvc_lock_is_of(here: Path) -> None:
    copytree(ROOT / "presets", here / "presets")
    there = {"download.source": "folder", "download.folder": "data/incoming"}
    write(here, "mine", [{"name": "a", "set": there}, {"name": "b", "set": {"train.seed": 5}}])
    planned = running.plan(read_study("mine"), shared=True)
    assert "data/incoming is on this machine alone. Set `download` in params.yaml" in planned[0].without
    assert not planned[1].without


def test_an_experiment_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    script = "import os, subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(os.getpid(), p.pid, flush=True); p.wait()"
    pids: list[int] = []
    with pytest.raises(InterruptedError):
        attended(
            [sys.executable, "-c", script], tmp_path, lambda: not pids, lambda line: pids.extend(map(int, line.split()))
        )
    wait_for(lambda: not any(alive(pid) for pid in pids))
    heard: list[str] = []
    assert attended(["sh", "-c", "echo one; echo two >&2; exit 3"], tmp_path, lambda: True, heard.append) == 3
    assert heard == ["one\n", "two\n"]


def test_an_experiment_ends_with_its_worker(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from lesions.studying.on_worker import attended\n"
        "attended(['sh', '-c', 'echo $$ > pid.part; mv pid.part pid; sleep 60'], Path.cwd(), lambda: True, print)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as worker:
        wait_for((tmp_path / "pid").exists)
        worker.kill()
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(pid))


def test_an_experiment_has_its_machines_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not Dask's, which keeps linear algebra to one thread."""
    for name, value in dask.config.get("distributed.nanny.pre-spawn-environ").items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LESIONS_CLUSTER", "tcp://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "lesions")
    found = surroundings()
    assert not {"OMP_NUM_THREADS", "LESIONS_CLUSTER"} & set(found)
    assert found["AWS_PROFILE"] == "lesions"
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert surroundings()["OMP_NUM_THREADS"] == "4"
    assert without_passwords("https://anna:x@host/a and ssh://ben@host") == "https://…@host/a and ssh://…@host"
