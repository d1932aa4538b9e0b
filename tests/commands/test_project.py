"""A project of one's own: what it has, what stops it, and that a later version merges without touching its results."""

import sys
from pathlib import Path

import pytest
from dvc.config import Config

from lesions.cli import main
from lesions.commands.project import OWN, new_project, update
from lesions.core.errors import UserError
from lesions.core.params import read_file
from tests.conftest import commit, copy_of_tree, edit_params, run


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this project, as somebody has it; each test copies it by Git."""
    folder = copy_of_tree(tmp_path_factory.mktemp("theirs") / "lesions")
    run("git branch --move main", folder)
    commit(folder)
    return folder


@pytest.fixture
def clone(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a clone whose `origin` is that repository, and whose person has a name."""
    run(f"git clone --quiet {repository} clone", tmp_path)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "test")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "test@example.org")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def put(folder: Path, files: dict[str, str]) -> None:
    """Write files by name, and commit them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    commit(folder)


def test_project_is_a_repository_of_its_own(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    before = read_file(clone / "params.yaml")
    monkeypatch.setattr(sys, "argv", ["lesions", "new", "../mine", "--data", "../images", "--remote", "../store"])
    main()
    assert "Next: `cd ../mine`, then `make repro`." in capsys.readouterr().out
    mine = tmp_path / "mine"

    commits = int(run("git rev-list --count HEAD", clone))
    assert int(run("git rev-list --count HEAD", mine)) == commits + 1
    assert run("git status --porcelain --branch", mine).strip() == "## main"
    assert run("git remote", mine).split() == ["upstream"]
    assert run("git remote get-url upstream", mine) == run("git remote get-url origin", clone)
    assert set(run("git diff --name-only HEAD~", mine).split()) - {".dvc/config", "params.yaml"} == set(
        run(f"git ls-files {' '.join(OWN)}", clone).split()
    )

    params = read_file(mine / "params.yaml")
    wanted = {"source": "folder", "folder": (tmp_path / "images").as_posix()}
    assert params == {**before, "download": {**before["download"], **wanted}}
    config = Config(str(mine / ".dvc"))
    assert config["core"]["remote"] == "team"
    assert {"url": str(tmp_path / "store"), "verify": True}.items() <= config["remote"]["team"].items()
    assert config["core"]["analytics"] is False
    assert not (mine / ".dvc/cache").exists()
    assert not any((mine / name).exists() for name in OWN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clone", "images", "mine"]


def test_later_version_merges_and_results_stay(clone: Path, repository: Path, tmp_path: Path) -> None:
    """Upstream runs again, with more and with fewer results; before and after the project has any."""
    theirs = tmp_path / "theirs"
    run(f"git clone --quiet {repository} theirs", tmp_path)
    run(f"git remote set-url origin {theirs}", clone)
    new_project(Path("../mine"))
    mine = tmp_path / "mine"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(mine)
        assert update() == "The project has all of upstream's main already."

        files = ("dvc.lock", "reports/model_card.md", "reports/nevus.png", ".github/workflows/tests.yml", "LICENSE")
        put(theirs, dict.fromkeys(files, "1"))
        assert update().startswith("Merged main of upstream, new commits: 1.")
        assert (mine / "LICENSE").read_text() == "1"
        assert run(f"git ls-files {' '.join(OWN)}", mine) == ""
        assert not any((mine / name).exists() for name in OWN)

        ours = {"dvc.lock": "ours", "reports/model_card.md": "ours", "reports/wart.png": "ours"}
        edit_params(mine, train={"epochs": 3})
        put(mine, ours)
        run("git rm --quiet reports/nevus.png", theirs)
        put(theirs, {"dvc.lock": "2", "reports/model_card.md": "2", "reports/mole.png": "2", "LICENSE": "2"})
        run("git tag v9.0.0", theirs)
        put(theirs, {"LICENSE": "3"})
        assert update("v9.0.0").startswith("Merged v9.0.0 of upstream, new commits: 1.")
        assert (mine / "LICENSE").read_text() == "2"
        assert {name: (mine / name).read_text() for name in ours} == ours
        assert set(run(f"git ls-files {' '.join(OWN)}", mine).split()) == set(ours)
        assert read_file(mine / "params.yaml")["train"]["epochs"] == 3
        assert run("git status --porcelain", mine) == ""


def test_conflict_in_the_parameters_is_named(clone: Path, repository: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    run(f"git clone --quiet {repository} theirs", tmp_path)
    run(f"git remote set-url origin {theirs}", clone)
    new_project(Path("../mine"))
    mine = tmp_path / "mine"
    for folder, epochs in ((theirs, 7), (mine, 3)):
        edit_params(folder, train={"epochs": epochs})
        put(folder, {"dvc.lock": str(epochs)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(mine)
        with pytest.raises(UserError, match=r"^You and main changed the same lines of params\.yaml: choose"):
            update()
        assert "<<<<<<<" in (mine / "params.yaml").read_text()
        assert (mine / "dvc.lock").read_text() == "3"
        with pytest.raises(UserError, match=r"params\.yaml changed since the last commit"):
            update()
        run("git merge --abort", mine)
        assert run("git status --porcelain", mine) == ""


def test_update_needs_a_clean_project_with_an_upstream(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["lesions", "update"])
    with pytest.raises(SystemExit, match="ERROR: This clone has no Git remote upstream: `git remote add"):
        main()
    run("git remote rename origin upstream", clone)
    with pytest.raises(UserError, match=r"^`git fetch` failed: .*v77"):
        update("v77")
    (clone / "metrics/evaluate.json").write_text("mine")
    with pytest.raises(UserError, match=r"^metrics/evaluate.json changed since the last commit"):
        update()
    assert (clone / "metrics/evaluate.json").read_text() == "mine"


def test_folder_must_be_new_and_outside(clone: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("years")
    with pytest.raises(UserError, match=r"full exists already and is not an empty folder"):
        new_project(full)
    assert (full / "thesis.txt").read_text() == "years"
    with pytest.raises(UserError, match=rf"lies in the repository .*`lesions new {tmp_path}/mine`"):
        new_project(Path("deep/in/mine"))
    assert not (clone / "deep").exists()
    (tmp_path / "empty").mkdir()
    new_project(tmp_path / "empty")
    assert (tmp_path / "empty/dvc.yaml").is_file()


def test_changes_are_committed_first_but_for_results(clone: Path, tmp_path: Path) -> None:
    (clone / "metrics/evaluate.json").write_text("{}")  # as `make repro` on another machine leaves it
    new_project(tmp_path / "one")
    (clone / "lesions/models/architectures/ours.py").touch()
    (clone / "params.yaml").write_text("train: {}")
    with pytest.raises(UserError, match=r"^params\.yaml, lesions/models/architectures/ours\.py changed since"):
        new_project(tmp_path / "two")
    assert (clone / "params.yaml").read_text() == "train: {}"
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": Path("nowhere")}, "^nowhere is no folder; --data takes"),
        ({"remote": "gopher://store"}, "^DVC does not take gopher://store as a remote: "),
    ],
)
def test_failure_leaves_nothing(clone: Path, tmp_path: Path, options: dict[str, Path | str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        new_project(tmp_path / "mine", **options)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == [clone.name]


def test_without_a_name_for_git_nothing_is_made(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "")
    with pytest.raises(UserError, match=r"^`git commit` failed: "):
        new_project(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == [clone.name]


def test_elsewhere_than_in_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is no clone of Lesion Pipeline"):
        new_project(tmp_path / "mine")
    with pytest.raises(UserError, match="is no clone of Lesion Pipeline"):
        update()


def test_part_of_the_history_is_not_enough(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("git commit --quiet --allow-empty --message second", clone)
    run(f"git clone --quiet --depth 1 file://{clone} part", tmp_path)
    monkeypatch.chdir(tmp_path / "part")
    with pytest.raises(UserError, match="`git fetch --unshallow` brings the rest"):
        new_project(tmp_path / "mine")


def test_git_is_needed(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone))
    with pytest.raises(UserError, match=r"^git is not installed"):
        new_project(Path("../mine"))
