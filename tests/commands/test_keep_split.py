"""`lesions keep-split`: the split of a commit, by name, as a file that stays whatever the name moves to."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from lesions.commands.keep_split import keep_split
from lesions.core.errors import UserError
from lesions.core.params import read_file
from lesions.sampling.earlier_split import read_kept
from tests.conftest import ROOT, commit, edit_params, run

DVC_YAML = "stages: {split: {cmd: cp new.csv data/split/split.csv, deps: [new.csv], outs: [data/split/split.csv]}}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose first commit has no split; then one of three images, tagged `three`; at last one of four."""
    monkeypatch.chdir(tmp_path)
    for command in ("git init --quiet", "git config user.email test@example.org", "git config user.name test"):
        run(command, tmp_path)
    run("dvc init --quiet", tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / ".gitignore").write_text("/data\n")
    (tmp_path / "data/split").mkdir(parents=True)
    commit(tmp_path)
    run("git tag empty", tmp_path)
    for tag, rows in (("three", "a,train\nb,val\nc,test\n"), ("four", "a,train\nb,val\nc,test\nd,train\n")):
        (tmp_path / "new.csv").write_text(f"image_id,split\n{rows}")
        run("dvc repro --quiet", tmp_path)
        commit(tmp_path)
        run(f"git tag {tag}", tmp_path)
    return tmp_path


def named() -> str:
    path: str = read_file()["split"]["keep"]
    return path


def test_last_committed_split_is_kept(project: Path) -> None:
    """Not the one of the files as they are; and the file stays when HEAD moves on."""
    head = run("git rev-parse HEAD", project).strip()
    (project / "data/split/split.csv").write_text("image_id,split\nz,train\n")
    said = keep_split("HEAD")
    assert named() == f"splits/{head[:12]}.csv"
    assert read_kept(named()) == {"a": "train", "b": "val", "c": "test", "d": "train"}
    assert f"the split of HEAD, commit {head[:12]}: 4 images." in said
    assert f"+  keep: splits/{head[:12]}.csv" in said
    commit(project)
    before = Path(named()).read_bytes()
    again = keep_split("four")
    assert "params.yaml names it already." in again
    assert Path(named()).read_bytes() == before
    keep_split("three")
    assert read_kept(named()) == {"a": "train", "b": "val", "c": "test"}
    assert len(list((project / "splits").iterdir())) == 2


def test_what_stays_is_counted(project: Path) -> None:
    """By the ids before a merge too."""
    (project / "data/clean").mkdir()
    images = pd.DataFrame({"image_id": ["a@x", "b@x", "new@y"], "collection": ["x", "x", "y"]})
    images.to_csv(project / "data/clean/images.csv", index=False)
    assert "Of the 3 images of data/clean/images.csv it has 2; 1 are new." in keep_split("HEAD")
    images.assign(image_id="other", collection="").iloc[:1].to_csv(project / "data/clean/images.csv", index=False)
    assert "WARNING: that is none: the split is of other data" in keep_split("HEAD")


def test_split_of_a_remote_is_found(project: Path) -> None:
    run("dvc remote add --quiet --default store ../store", project)
    run("dvc push --quiet", project)
    shutil.rmtree(project / ".dvc/cache")
    keep_split("four")
    assert len(read_kept(named())) == 4
    with pytest.raises(UserError) as error:
        keep_split("three")
    assert "Fetch it with `dvc fetch --all-commits`, or run `dvc push` where the pipeline ran" in str(error.value)


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("nowhere", "nowhere cannot be read: unknown Git revision 'nowhere'. Expected a branch"),
        ("empty", "has no data/split/split.csv: its dvc.lock names none"),
    ],
)
@pytest.mark.usefixtures("project")
def test_revisions_without_a_split(revision: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        keep_split(revision)
    assert words in str(error.value)
    assert named() == "data/none"


def test_params_that_cannot_keep_a_split(project: Path) -> None:
    edit_params(project, split={"folds": 5})
    with pytest.raises(UserError) as error:
        keep_split("HEAD")
    assert "params.yaml was not changed, since with split.keep params.yaml has values" in str(error.value)
    assert "only a plain grouped split goes on from an earlier one" in str(error.value)
    assert named() == "data/none"


def test_folder_without_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="Run this in the project's folder"):
        keep_split("HEAD")
