"""docs/team.md, command by command, by people with a clone each, against a real store of each kind."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import pytest

from tests.conftest import ROOT, commit, edit_params, reproduce, run, stages_run
from tests.pipeline.test_pipeline import FAKE, FROM_TRAIN
from tests.team.stores import S3, SSH, Folder, Store

pytestmark = pytest.mark.usefixtures("home_of_its_own")

PAGE = (ROOT / "docs/team.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    """Commands of the page.

    Attributes:
        section: the heading above.
        mark: who runs them, and where: words after "run by the tests", or "" where the tests do not.
        commands: as written.
    """

    section: str
    mark: list[str]
    commands: str


def blocks() -> list[Block]:
    """Return the page's blocks of commands, in order."""
    found = []
    for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        section = part.partition("\n")[0]
        for mark, commands in re.findall(r"(?:<!-- ([^\n]+) -->\n)?```sh\n(.*?)```", part, re.DOTALL):
            words = re.fullmatch(r"run by the tests: (.*)", mark)
            assert words or mark.startswith("not run by the tests: "), f"{section}: who runs this?\n{commands}"
            found.append(Block(section, words[1].split(", ") if words else [], commands))
    return found


@dataclass
class Team:
    """People with a clone each, Git's remote, and the store."""

    kind: str
    folder: Path
    store: Store
    pipeline: Path
    secrets: dict[str, str]
    clones: dict[str, Path] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, who: str) -> Path:
        """Return somebody's clone; all but Anna clone when the first of them is needed."""
        if not self.clones:
            anna = copytree(self.pipeline, self.folder / "Anna", symlinks=True)
            run(f"git clone --quiet --bare {anna} {self.folder / 'origin.git'}", anna)
            run(f"git remote add origin {self.folder / 'origin.git'}", anna)
            run("git fetch --quiet", anna)
            run(f"git branch --quiet --set-upstream-to origin/{run('git branch --show-current', anna).strip()}", anna)
            self.clones["Anna"] = anna
        if who not in self.clones:
            for name in ("Ben", "Carla", "Dora"):
                self.clones[name] = self.folder / name
                run(f"git clone --quiet {self.folder / 'origin.git'} {self.clones[name]}", self.folder)
        return self.clones[who]

    def run_block(self, block: Block) -> str:
        """Run a block as written, but for the store's address, and return what it printed."""
        clone = self[block.mark[0]]
        for words in block.mark:
            if words.startswith("with "):
                _, key, value = words.split()
                section, name = key.split(".")
                edit_params(clone, **{section: {name: float(value) if "." in value else int(value)}})
        commands = block.commands.replace("/mnt/lesions", self.store.url)
        if isinstance(self.store, S3):
            commands = commands.replace("https://s3.example.org", self.store.endpoint)
        script = self.folder / "block.sh"
        script.write_text(f"set -eu\n{commands}")
        with pytest.MonkeyPatch.context() as patch:
            if "keys" in block.mark:
                for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                    patch.delenv(name, raising=False)
                printed = run(f"bash {script}", clone)
                if "export" not in block.commands:
                    run("dvc status --cloud", clone)
                    (clone / ".dvc/config.local").unlink()  # the page says: one of these
                return printed
            return run(f"bash {script}", clone)


@pytest.fixture(scope="module")
def pipeline(request: pytest.FixtureRequest, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the pipeline ran; with `fakes`, what stages with TensorFlow make is a hash of their inputs."""
    clone = copytree(workspace, tmp_path_factory.mktemp("pipeline") / "clone", symlinks=True)
    if request.param == "fakes":
        (clone / "fake.py").write_text(FAKE)
        definition = (clone / "dvc.yaml").read_text()
        for stage in FROM_TRAIN:
            definition = definition.replace(f"python -m stages.{stage}\n", f"python fake.py {stage}\n")
        (clone / "dvc.yaml").write_text(definition)
        assert reproduce(clone) == FROM_TRAIN
        commit(clone)
    return clone


@pytest.fixture
def team(request: pytest.FixtureRequest, pipeline: Path, home_of_its_own: Path, tmp_path: Path) -> Iterator[Team]:
    """A team with an empty store of the given kind, and its secrets where the page says that they belong."""
    kind = request.param
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        (tmp_path / "store").mkdir()
        store: Store
        secrets: dict[str, str] = {}
        if kind == "s3":
            store = stack.enter_context(S3().served())
            secrets = {"OUR_KEY": store.key[0], "OUR_SECRET": store.key[1]}
            profile = f"[lesions]\naws_access_key_id = {store.key[0]}\naws_secret_access_key = {store.key[1]}\n"
            (home_of_its_own / ".aws").mkdir(exist_ok=True)
            (home_of_its_own / ".aws/credentials").write_text(profile)
            patch.setenv("AWS_ACCESS_KEY_ID", store.key[0])
            patch.setenv("AWS_SECRET_ACCESS_KEY", store.key[1])
        elif kind == "ssh":
            store = stack.enter_context(SSH(tmp_path / "store").served())
            (home_of_its_own / ".ssh").mkdir(exist_ok=True)
            store.key.write_private_key(home_of_its_own / ".ssh/lesions")
            host = f"Host store\nHostName 127.0.0.1\nPort {store.port}\nUser anna\nIdentityFile ~/.ssh/lesions\n"
            (home_of_its_own / ".ssh/config").write_text(host)
            secrets = {"OUR_KEY": (home_of_its_own / ".ssh/lesions").read_text().splitlines()[1]}
        else:
            store = Folder(tmp_path / "store")
        for name, secret in secrets.items():
            patch.setenv(name, secret)
        yield Team(kind, tmp_path, store, pipeline, secrets)


def model(clone: Path) -> bytes:
    return (clone / "models/model.keras").read_bytes()


def model_hash(clone: Path) -> str:
    """Return the name in the store of the model that dvc.lock names."""
    found = re.search(r"path: models/model.keras\n\s+hash: md5\n\s+md5: (\w+)", (clone / "dvc.lock").read_text())
    assert found
    return found[1]


def all_is_in_the_store(team: Team, _: str) -> None:
    cached = {
        path.parent.name + path.name for path in (team["Anna"] / ".dvc/cache/files/md5").rglob("*") if path.is_file()
    }
    assert model_hash(team["Anna"]) in team.store.objects()
    assert set(team.store.objects()) <= cached


def nothing_runs(team: Team, printed: str) -> None:
    assert stages_run(printed) == []
    assert model(team["Ben"]) == model(team["Anna"])
    assert run("git status --porcelain", team["Ben"]) == ""
    printed = run("dvc repro --pull --allow-missing", team["Dora"])
    assert stages_run(printed) == []
    assert not (team["Dora"] / "data/raw").exists()
    assert not (team["Dora"] / "models").exists()


def only_training_runs(team: Team, printed: str) -> None:
    assert stages_run(printed) == FROM_TRAIN
    assert model(team["Ben"]) != model(team["Anna"])


def nothing_slow_runs(team: Team, printed: str) -> None:
    assert set(stages_run(printed)) <= {"evaluate", "report"}
    assert model(team["Carla"]) == model(team["Ben"])
    assert (team["Carla"] / "dvc.lock").read_bytes() == (team["Ben"] / "dvc.lock").read_bytes()
    assert (team["Carla"] / "metrics/evaluate.json").read_bytes() == (
        team["Ben"] / "metrics/evaluate.json"
    ).read_bytes()


def only_what_is_needed_comes(team: Team, printed: str) -> None:
    assert stages_run(printed) == ["evaluate", "report"]
    assert (team["Dora"] / "data/predictions").exists()
    assert [file.name for file in (team["Dora"] / "data/raw").iterdir()] == ["provenance.json"]  # the card cites it
    assert not (team["Dora"] / "data/prepared").exists()


def the_experiment_is_there(team: Team, printed: str) -> None:
    assert stages_run(printed) == []
    assert "gentle" in printed
    team.models["gentle"] = model_hash(team["Carla"])
    assert model(team["Carla"]) == model(team["Ben"])


def the_model_is_there(team: Team, _: str) -> None:
    for name in ("model-1.0.0", "model-on-trial"):
        files = {path.name for path in (team["Carla"] / name).iterdir()}
        assert {"model.keras", "preprocessing.json", "ood.npz", "thresholds.json"} <= files
        assert (team["Carla"] / name / "model.keras").read_bytes() == model(team["Ben"])


def nothing_of_a_colleague_goes(team: Team, _: str) -> None:
    """What the page advises keeps Ben's experiment; what it warns of loses it, until he pushes again."""
    experiment = team.models["gentle"]
    run("dvc gc --all-commits --all-experiments --cloud --force", team["Anna"])
    assert {experiment, model_hash(team["Ben"])} <= set(team.store.objects())
    run("dvc gc --workspace --cloud --force", team["Dora"])
    assert not {experiment, model_hash(team["Ben"])} & set(team.store.objects())
    run("dvc push --all-commits", team["Ben"])
    run("dvc exp push --force origin gentle", team["Ben"])
    assert {experiment, model_hash(team["Ben"])} <= set(team.store.objects())


CHECKS: dict[tuple[str, int], Callable[[Team, str], None]] = {
    ("A store, once", -1): all_is_in_the_store,
    ("Every day", 0): nothing_runs,
    ("Every day", 1): only_training_runs,
    ("Every day", 2): nothing_slow_runs,
    ("Every day", 3): only_what_is_needed_comes,
    ("Sharing experiments", 1): the_experiment_is_there,
    ("The model, with a version", 1): the_model_is_there,
    ("Cleaning up", 0): nothing_of_a_colleague_goes,
}
"""What holds after a block that is run: by section, and the block's number in it."""

FIRST = ("A store, once", "Credentials, each their own", "Every day")


@pytest.mark.parametrize(
    ("pipeline", "team", "whole"),
    [
        pytest.param("fakes", "folder", False, id="first sections"),
        pytest.param("fakes", "folder", True, marks=pytest.mark.long, id="folder"),
        pytest.param("fakes", "ssh", True, marks=pytest.mark.long, id="ssh"),
        pytest.param("real", "s3", True, marks=pytest.mark.long, id="s3"),
    ],
    indirect=["pipeline", "team"],
)
def test_page(team: Team, whole: bool) -> None:
    """The whole page takes minutes: some sixty commands of DVC's, of which each starts anew."""
    sections: dict[str, list[Block]] = {}
    for block in blocks():
        fits = block.mark and block.mark[0] != "server" and not {"s3", "ssh", "folder"} - {team.kind} & set(block.mark)
        if fits and (whole or block.section in FIRST):
            sections.setdefault(block.section, []).append(block)
    for section, there in sections.items():
        for number, block in enumerate(there):
            printed = team.run_block(block)
            for key in ((section, number), (section, number - len(there))):
                if key in CHECKS:
                    CHECKS[key](team, printed)
            assert not [secret for secret in team.secrets.values() if secret in printed]
    for clone in team.clones.values():
        assert not tracked_with(clone, list(team.secrets.values()))


def test_checks_have_their_blocks() -> None:
    there = [(block.section, block.mark) for block in blocks()]
    people = {mark[0] for _, mark in there if mark}
    assert people == {"Anna", "Ben", "Carla", "Dora", "server"}
    for section, number in CHECKS:
        assert len([mark for name, mark in there if name == section and mark]) > number, section


def tracked_with(clone: Path, secrets: list[str]) -> list[str]:
    """Return the tracked files, and `.dvc/config` where it is not, in which one of the secrets stands."""
    names = {*run("git ls-files -z", clone).split("\0"), ".dvc/config"} - {""}
    files = [name for name in sorted(names) if (clone / name).is_file()]
    return [name for name in files if any(secret.encode() in (clone / name).read_bytes() for secret in secrets)]


SECRETS = re.compile(
    rb"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|gh[pousr]_\w{36}"
    rb"|^\s*(?:aws_)?(?:secret_access_key|session_token|password|passphrase)[ \t]*=[ \t]*[^\s\"'{$(),]+$",
    re.MULTILINE,
)
"""Keys as they look, and DVC's settings with a secret as its configuration files hold them."""


def test_no_secret_is_tracked() -> None:
    names = {*run("git ls-files --cached --others --exclude-standard -z", ROOT).split("\0"), ".dvc/config"} - {""}
    files = [name for name in sorted(names) if (ROOT / name).is_file()]
    assert ".dvc/config" in files
    assert not [name for name in files if name.endswith("config.local")]
    found = {name: SECRETS.findall((ROOT / name).read_bytes()) for name in files}
    assert not {name: secrets for name, secrets in found.items() if secrets}


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
        "    secret_access_key" + " = wJalrXUtnFEMI",
    ],
)
def test_secret_is_found(text: str) -> None:
    assert SECRETS.search(text.encode())


def test_local_settings_are_ignored_by_git() -> None:
    assert run("git check-ignore .dvc/config.local", ROOT).strip() == ".dvc/config.local"
