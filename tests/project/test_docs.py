"""What the documents say is so: their commands run as written, their tables are true, their files exist."""

import csv
import json
import re
import runpy
import sys
from itertools import pairwise
from pathlib import Path
from shutil import copytree

import networkx as nx  # type: ignore[import-untyped]
import pytest

from tests.conftest import ROOT, commit, run
from tests.pipeline.test_pipeline import RERUNS
from tests.stand_in import put_stand_ins

FIRST = ["README.md", "docs/getting_started.md", "docs/experiments.md"]
"""In the order in which a person reads them: later pages use the experiments that these make."""
FILES = dict.fromkeys([*FIRST, "CONTRIBUTING.md", *(f"docs/{file.name}" for file in sorted(ROOT.glob("docs/*.md")))])
DOCUMENTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
EXPERIMENTS = DOCUMENTS["docs/experiments.md"]
LEAKY = "split by image (leaky)"
BLOCKS = [
    (name, mark, commands)
    for name, text in DOCUMENTS.items()
    for mark, commands in re.findall(r"(<!-- not run by the tests: [^\n]+ -->\n)?```sh\n(.*?)```", text, re.DOTALL)
]


@pytest.fixture(scope="module", params=["stand-ins", pytest.param("all real", marks=pytest.mark.long)])
def clone(request: pytest.FixtureRequest, workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with its environment in .venv, as `make repro` leaves it; with stand-ins, no stage loads TensorFlow."""
    clone = copytree(workspace, tmp_path_factory.mktemp("readme") / "clone", symlinks=True)
    (clone / ".venv").symlink_to(sys.prefix)
    if request.param == "stand-ins":
        put_stand_ins(clone, workspace, ["train", "predict", "explain"])
        commit(clone)
    return clone


def test_commands_are_found() -> None:
    assert len(BLOCKS) == sum(text.count("```sh") for text in DOCUMENTS.values()) > 10


@pytest.mark.parametrize(
    "commands",
    # Those of docs/team.md need servers: tests/team/test_team.py.
    [pytest.param(commands, id=name) for name, mark, commands in BLOCKS if not mark and name != "docs/team.md"],
)
def test_commands_run_as_written(clone: Path, commands: str) -> None:
    script = clone.parent / "block.sh"
    script.write_text(f"set -eu\n{commands}")
    run(f"bash {script}", clone)


def test_two_experiments_compare(clone: Path) -> None:
    """After the page's commands, which make two and compare them."""
    one, other = re.findall(r"dvc exp run --name (\S+)", EXPERIMENTS)
    assert f"dvc metrics diff {one} {other}" in EXPERIMENTS
    changes = json.loads(run(f"dvc metrics diff {one} {other} --json", clone))
    change = changes["metrics/evaluate.json"]["test.log_loss"]
    assert change["old"] != change["new"]
    shown = json.loads(run(f"dvc params diff {one} {other} --json", clone))
    assert list(shown["params.yaml"]) == ["train.learning_rate"]
    printed = run(f"lesions compare {one} {other} --split test", clone)
    assert f"{one} {other} difference" in printed
    log_loss = next(line for line in printed.splitlines() if line.startswith("log_loss (less is better)")).split()
    assert [float(log_loss[4]), float(log_loss[5])] == pytest.approx([change["old"], change["new"]], abs=6e-4)
    page = (clone / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert f'"rev": "{one}"' in page
    assert f'"rev": "{other}"' in page


HEADLINE = ["accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "log_loss", "melanoma_auc"]
TABLE = re.findall(r"^dvc exp show .*", EXPERIMENTS, re.MULTILINE)[0]


def shown_columns(command: str, clone: Path) -> dict[str, list[str]]:
    """Return what a table of experiments shows, but for the columns that say which experiment a row is."""
    script = clone.parent / "table.sh"
    script.write_text(f"{command} --csv")
    head, *rows = csv.reader(run(f"bash {script}", clone).splitlines())
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    which = {"Experiment", "rev", "typ", "Created", "parent", "State", "Executor"}
    return {name: list(values) for name, values in columns.items() if name not in which}


def test_experiment_table_has_few_columns(clone: Path) -> None:
    """Of two that differ in one parameter, as docs/experiments.md makes them."""
    for name, rate in (("small-steps", 0.0003), ("large-steps", 0.003)):
        if name not in run("dvc exp list --name-only", clone).split():
            run(f"dvc exp run --name {name} --set-param train.learning_rate={rate}", clone)
    names = ["leakage", *(f"{split}.{name}" for split in ("val", "test") for name in HEADLINE)]
    everything = shown_columns("dvc exp show", clone)
    params = shown_columns("dvc exp show --drop 'leakage|val|test'", clone)
    assert [name for name in everything if name not in params] == names
    metrics = json.loads(run("dvc metrics show --json", clone))[""]["data"]
    assert list(metrics) == ["metrics/evaluate.json"]
    values = [value for name in names[1:] for value in everything[name]]
    assert all(re.fullmatch(r"\d+(\.\d{1,3})?", value) for value in values)

    table = shown_columns(TABLE, clone)
    # docs/getting_started.md has changed train.epochs.
    params_changed = {"train.learning_rate", "train.epochs"}
    assert set(table) <= {"leakage", *(f"val.{name}" for name in HEADLINE), *params_changed}
    assert {"leakage", "val.log_loss", "train.learning_rate"} <= set(table)


@pytest.mark.parametrize("before", ["none", LEAKY])
def test_leak_stands_beside_the_metrics(workspace: Path, tmp_path: Path, before: str) -> None:
    """Also where all experiments have it, so that it makes no difference between them."""
    copy = copytree(workspace, tmp_path / "clone", symlinks=True)
    metrics = copy / "metrics/evaluate.json"
    for leakage, log_loss in ((before, 1.5), (LEAKY, 0.5)):
        values = json.loads(metrics.read_text())
        values["leakage"], values["val"]["log_loss"] = leakage, log_loss
        metrics.write_text(json.dumps(values))
        commit(copy)
    # Of the files as they are, and of two commits.
    assert shown_columns(f"{TABLE} --num 2", copy) == {
        "leakage": [LEAKY, LEAKY, before],
        "val.log_loss": ["0.5", "0.5", "1.5"],
    }
    assert LEAKY in run("dvc metrics show", copy)


def test_table_of_reruns_is_true() -> None:
    for key, (_, stages) in RERUNS.items():
        assert f"| `{key}` | {', '.join(stages)} |" in DOCUMENTS["docs/pipeline.md"]


def test_graph_is_that_of_the_pipeline() -> None:
    """Without the edges that longer ways imply."""
    chart = re.findall(r"```mermaid\nflowchart LR\n(.*?)```", DOCUMENTS["README.md"], re.DOTALL)[0]
    shown = {edge for line in chart.splitlines() for edge in pairwise(line.strip().split(" --> "))}
    printed = run("dvc dag --mermaid", ROOT)
    names = dict(re.findall(r'(node\d+)\["(\w+)"\]', printed))
    whole = nx.DiGraph([(names[one], names[other]) for one, other in re.findall(r"(node\d+)-->(node\d+)", printed)])
    assert shown == set(nx.transitive_reduction(whole).edges)


def test_tree_names_what_is_there() -> None:
    tree = re.findall(r"```\n(dvc\.yaml .*?)```", DOCUMENTS["README.md"], re.DOTALL)[0]
    named = {name.rstrip("/") for name in re.findall(r"(?:^|  )([a-z]+(?:\.yaml|/))  ", tree, re.MULTILINE)}
    tracked = {Path(file).parts[0] for file in run("git ls-files", ROOT).split() if "/" in file}
    made = {"models", "plots"}
    assert named == {"dvc.yaml", "params.yaml"} | made | {name for name in tracked if not name.startswith(".")}


def test_readme_is_short() -> None:
    assert len(DOCUMENTS["README.md"].split()) <= 900


def test_named_files_exist(workspace: Path) -> None:
    section = DOCUMENTS["docs/pipeline.md"].partition("## What appears where")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    named = re.findall(r"`((?:data|metrics|plots|models|reports)/[\w/.]*)`", table)
    assert len(named) > 15
    for name in named:
        assert (workspace / name).exists(), name


def anchors(text: str) -> set[str]:
    """Return the names under which GitHub shows a page's headings."""
    headings = re.findall(r"^#+ (.*)", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_headings(document: str) -> None:
    """That the files are there: tests/project/test_files.py."""
    for name, anchor in re.findall(r"\]\(((?!\w+:)[^)#]*)#([^)]+)\)", DOCUMENTS[document]):
        path = (ROOT / document).parent / name if name else ROOT / document
        assert anchor in anchors(path.read_text(encoding="utf-8")), f"{name}#{anchor}"


def test_every_page_is_found_and_leads_back() -> None:
    listed = set(re.findall(r"\]\((\w+\.md)\)", DOCUMENTS["docs/README.md"]))
    pages = {Path(name).name for name in DOCUMENTS if name.startswith("docs/")} - {"README.md"}
    assert listed == pages
    for page in pages:
        assert "](README.md)" in DOCUMENTS[f"docs/{page}"], page


def test_all_messages_are_listed() -> None:
    with_list = runpy.run_path(str(ROOT / "docs/list_messages.py"))["with_list"]
    assert with_list(DOCUMENTS["docs/messages.md"]) == DOCUMENTS["docs/messages.md"], "python docs/list_messages.py"
