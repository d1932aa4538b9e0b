"""Comparing two experiments: the tests against brute force, planted and absent differences, and what is refused."""

import itertools
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from lesions.commands.compare import compare as comparing
from lesions.commands.compare.by_collection import collections_of
from lesions.commands.compare.compare import as_text
from lesions.commands.compare.paired import COMPARED, OF_MELANOMA, estimates
from lesions.commands.compare.predictions_at_revision import ModelPredictions, predictions_at_revision
from lesions.commands.compare.significance import Areas, delong, mcnemar
from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common.decision_rule import DecisionRule
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.holm import holm
from lesions.evaluation.subgroups import TOO_FEW_MELANOMAS
from tests.conftest import ROOT, commit, lesions, run

CLASSES = ["mel", "bcc", "nv"]
MELANOMA_ONLY = DecisionRule(
    optimise="expected_cost",
    calibration=Calibration(temperature=1.0, classes=CLASSES, biases=[0.0, 0.0, 0.0]),
    costs=[[0, 1e6, 1e6], [0, 1e6, 1e6], [0, 1e6, 1e6]],
)


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=60))
def test_mcnemar_equals_binomial_test(surplus: list[int]) -> None:
    better, worse = surplus.count(1), surplus.count(-1)
    expected = binomtest(better, better + worse).pvalue if better + worse else 1
    assert mcnemar(np.array(surplus), np.arange(len(surplus))) == pytest.approx(expected)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_mcnemar_by_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(8), random.integers(1, 5, 8))
    surplus = random.integers(-1, 2, len(groups))
    of_group = [int(surplus[groups == group].sum()) for group in range(8)]
    sums = [abs(int(np.dot(signs, of_group))) for signs in itertools.product([-1, 1], repeat=8)]
    assert mcnemar(surplus, groups) == pytest.approx(np.mean([value >= abs(sum(of_group)) for value in sums]))


def test_mcnemar_of_images_of_one_lesion() -> None:
    surplus = np.ones(12, dtype=np.int64)
    assert mcnemar(surplus, np.arange(12)) == pytest.approx(2 / 2**12)
    assert mcnemar(surplus, np.repeat(np.arange(3), 4)) == pytest.approx(2 / 2**3)


def test_mcnemar_of_many_lesions() -> None:
    random = np.random.default_rng(1)
    surplus = random.choice([-1, 1], 3000)
    assert mcnemar(surplus, np.arange(3000)) == pytest.approx(binomtest(int((surplus > 0).sum()), 3000).pvalue)


def by_pairs(positive: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return areas and covariance as the papers write them: a kernel over all pairs, then sums over the groups."""
    kernel = np.array(
        [[[float(x > y) + 0.5 * (x == y) for y in score[~positive]] for x in score[positive]] for score in scores]
    )
    above, below, areas = kernel.mean(axis=2), kernel.mean(axis=1), kernel.mean(axis=(1, 2))
    m, n = kernel.shape[1:]
    positives, negatives, all_ = set(groups[positive]), set(groups[~positive]), set(groups)
    covariance = np.zeros((2, 2))
    for r, s in itertools.product(range(2), repeat=2):
        sums = {
            (group, number): (
                sum(above[number][groups[positive] == group] - areas[number]),
                sum(below[number][groups[~positive] == group] - areas[number]),
            )
            for group in all_
            for number in range(2)
        }
        s10 = sum(sums[g, r][0] * sums[g, s][0] for g in positives) * len(positives) / ((len(positives) - 1) * m)
        s01 = sum(sums[g, r][1] * sums[g, s][1] for g in negatives) * len(negatives) / ((len(negatives) - 1) * n)
        s11 = [
            sum(sums[g, one][0] * sums[g, other][1] for g in all_) * len(all_) / (len(all_) - 1)
            for one, other in ((r, s), (s, r))
        ]
        covariance[r, s] = s10 / m + s01 / n + sum(s11) / (m * n)
    return areas, covariance


def random_scores(seed: int, lesions: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positives, two scores that have ties and err alike, and groups of 1 to `most` images, some of both kinds."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(lesions), random.integers(1, most + 1, lesions))
    positive = random.random(len(groups)) < 0.4
    positive[groups < 2], positive[(groups >= 2) & (groups < 4)] = True, False
    common = random.normal(size=lesions)[groups] + positive
    return positive, np.round(common + random.normal(size=(2, len(groups))), 1), groups


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]))
def test_delong_by_brute_force(seed: int, most: int) -> None:
    positive, scores, groups = random_scores(seed, 15, most)
    found = delong(positive, scores, groups)
    areas, covariance = by_pairs(positive, scores, groups)
    assert isinstance(found, Areas)
    assert found.auc == pytest.approx(areas)
    assert found.auc == pytest.approx([roc_auc_score(positive, score) for score in scores])
    assert found.covariance == pytest.approx(covariance, abs=1e-12)
    if most == 1:
        # DeLong's own: covariances of the placements, with one less than there are images below.
        positives, negatives = scores[:, positive, None], scores[:, None, ~positive]
        kernels = (positives > negatives) + 0.5 * (positives == negatives)
        textbook = sum(np.cov(kernels.mean(axis=axis)) / kernels.shape[3 - axis] for axis in (1, 2))
        assert found.covariance == pytest.approx(np.asarray(textbook), abs=1e-12)
    if found.p is not None:
        variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        assert found.p == pytest.approx(2 * norm.sf(abs(areas[1] - areas[0]) / np.sqrt(variance)))


def test_delong_by_lesion_keeps_its_level() -> None:
    """600 draws without a difference; each lesion has five images that a model ranks alike."""
    found = []
    for seed in range(600):
        random = np.random.default_rng(seed)
        groups = np.repeat(np.arange(80), 5)
        positive = groups % 2 == 0
        scores = random.normal(size=(2, 80))[:, groups] + 0.3 * random.normal(size=(2, 400)) + positive
        tests = [delong(positive, scores, which) for which in (groups, np.arange(400))]
        found.append([test is not None and test.p is not None and test.p < 0.05 for test in tests])
    by_lesion, by_image = np.mean(found, axis=0)
    assert 0.03 <= by_lesion <= 0.08
    assert by_image > 0.2


def test_delong_without_spread_or_lesions() -> None:
    positive = np.array([True, True, False, False])
    scores = np.array([[0.9, 0.8, 0.2, 0.1]] * 2)
    same = delong(positive, scores, np.arange(4))
    assert same is not None
    assert same.p is None
    assert delong(positive, scores, np.array([0, 0, 1, 2])) is None


def modelled(seed: int, skill: float, lesions: int = 300) -> pd.DataFrame:
    """What a model says of 1 to 3 images a lesion; seeds differ in a third of what they err in."""
    common, own = np.random.default_rng(1), np.random.default_rng(seed)
    lesion = np.repeat(np.arange(lesions), common.integers(1, 4, lesions))
    label = common.choice(3, lesions, p=[0.2, 0.2, 0.6])[lesion]
    hard = common.normal(size=(lesions, 3))[lesion] + 0.3 * common.normal(size=(len(lesion), 3))
    logits = hard + 0.3 * own.normal(size=hard.shape) + skill * np.eye(3)[label]
    table = pd.DataFrame({"image_id": [f"p{n:04}" for n in range(len(lesion))], "split": "val"})
    table.loc[lesion % 2 == 0, "split"] = "test"
    table["label"], table["leakage"] = np.array(CLASSES)[label], "none"
    table[CLASSES] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return table.assign(group_id=[f"g{n}" for n in lesion])


def as_predictions(table: pd.DataFrame, revision: str) -> ModelPredictions:
    label = table["label"].map(CLASSES.index).to_numpy(np.int64)
    groups = np.unique(table["group_id"], return_inverse=True)[1]
    split = SplitPredictions(table, CLASSES, label, table[CLASSES].to_numpy(), None, groups)
    return ModelPredictions(revision, "all", split, "mel", "none", frozenset(table["image_id"]))


def ends(entry: dict[str, float | int | str | None]) -> tuple[float, float]:
    lower, upper = entry["lower"], entry["upper"]
    assert isinstance(lower, float | int)
    assert isinstance(upper, float | int)
    return float(lower), float(upper)


def test_paired_interval_is_narrower() -> None:
    one, other = (as_predictions(modelled(seed, 1.5), str(seed)) for seed in (2, 3))
    found = estimates(one, other, Bootstrap(400, 1))
    assert list(found) == [*COMPARED, *OF_MELANOMA]
    for name, (first, second, difference) in found.items():
        widths = [ends(entry)[1] - ends(entry)[0] for entry in (first, second, difference)]
        assert widths[2] < 0.7 * np.hypot(widths[0], widths[1]), name
        assert difference["value"] == pytest.approx(float(second["value"] or 0) - float(first["value"] or 0), abs=2e-4)


def put(folder: Path, table: pd.DataFrame, classes: list[str] | None = None, rule: DecisionRule | None = None) -> None:
    """Write what is read of one experiment."""
    for name in ("data/clean", "data/split", "data/predictions", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"label": classes or CLASSES, "diagnoses": classes or CLASSES}).to_csv(
        folder / "data/clean/classes.csv", index=False
    )
    table.filter(["image_id", "label", "group_id", "collection"]).to_csv(folder / "data/clean/images.csv", index=False)
    table[["image_id", "split"]].to_csv(folder / "data/split/split.csv", index=False)
    write_json(folder / "models/thresholds.json", {} if rule is None else {"decision_rule": rule.model_dump()})
    table.drop(columns=["group_id", "collection"], errors="ignore").to_csv(
        folder / "data/predictions/predictions.csv", index=False
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of DVC whose tables lie in Git, and a tag for each experiment; the files as they are: `better`."""
    folder = tmp_path_factory.mktemp("comparing")
    run("git init --quiet", folder)
    run("git config user.email test@example.org", folder)
    run("git config user.name test", folder)
    run("dvc init --quiet", folder)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    commit(folder)
    run("git tag empty", folder)
    plain = modelled(2, 1.5)
    moved = plain.assign(split=plain["split"].map({"val": "test", "test": "val"}))
    relabelled = plain.copy()
    relabelled.loc[relabelled["split"] == "val", "label"] = "bcc"
    experiments = {
        "plain": plain,
        "moved": moved,
        "relabelled": relabelled,
        "other-classes": plain.rename(columns={"bcc": "akiec"}).replace({"label": {"bcc": "akiec"}}),
        "by-image": plain.assign(group_id=plain["image_id"]),
        "leaky": plain.assign(leakage="split by image"),
        "no-column": plain.drop(columns="leakage"),
        "no-numbers": plain.assign(nv="much"),
        "grown": grown(plain),
        "merged": merged(plain, plain),
        "merged-better": merged(plain, modelled(3, 3.5)),
        "by-cost": plain,
        "no-thresholds": plain,
        "no-rule": plain,
        "better": modelled(3, 3.5),
    }
    for name, table in experiments.items():
        classes = ["mel", "akiec", "nv"] if name == "other-classes" else None
        put(folder, table, classes, MELANOMA_ONLY if name == "by-cost" else None)
        if name == "no-thresholds":
            (folder / "models/thresholds.json").unlink()
        elif name == "no-rule":
            write_json(folder / "models/thresholds.json", {"decision_rule": {"optimise": "profit"}})
        commit(folder)
        run(f"git tag {name}", folder)
    return folder


def grown(table: pd.DataFrame) -> pd.DataFrame:
    """The same images, and after them twenty new ones of new groups in each split."""
    new = table.groupby("split").head(20)
    ids = {name: "new " + new[name] for name in ("image_id", "group_id")}
    return pd.concat([table, new.assign(**ids)], ignore_index=True)


def merged(table: pd.DataFrame, of_clinic: pd.DataFrame) -> pd.DataFrame:
    """Three collections: of `clinic` another model's predictions, and of `few` five groups a split."""
    lesion = table["group_id"].str[1:].astype(int)
    collection = np.where(lesion < 10, "few", np.where(lesion < 210, "clinic", "ham"))
    found = table.where(pd.Series(collection != "clinic"), of_clinic).assign(collection=collection)
    return found.assign(image_id=found["image_id"] + "@" + collection)


def compare(first: str, second: str, name: str, resamples: int) -> str:
    return as_text(comparing.compare(first, second, name, resamples))


def test_planted_difference_is_found(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    for split in ("val", "test"):
        printed = compare("plain", "workspace", split, 300)
        rows = {line.split()[0]: line for line in printed.splitlines() if line}
        assert all(rows[name].endswith("workspace") for name in COMPARED)
        assert "exchanging whole groups: p < 0.001" in printed
        delong_p = re.search(r"its variance by group: p [=<] ([\d.]+)", printed)
        assert delong_p is not None
        assert float(delong_p[1]) < 0.05
        assert f"{split}: " in printed
        assert ("Chosen by these metrics?" in printed) == (split == "val")
        assert "WARNING" not in printed
    assert {line.split()[-1] for line in compare("better", "plain", "val", 300).splitlines()[3:8]} == {"better"}


def test_few_melanomas_name_no_winner() -> None:
    """Four of ten that one model alone finds are chance in an exact test (p = .125)."""
    table = modelled(2, 4.0)
    few = table.drop(table.index[(table["label"] == "mel") & (table["group_id"].rank(method="dense") > 40)])
    one, other = (as_predictions(found, name) for found, name in ((few, "1"), (few, "2")))
    *_, difference = estimates(one, other, Bootstrap(100, 1))["melanoma_sensitivity"]
    assert (difference["value"], difference["lower"]) == (0, None)
    assert "fewer than 20 groups are melanomas" in str(difference["reason"])


def test_comparison_with_itself(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    printed = compare("better", "workspace", "val", 100)
    assert printed.count("+0.000             -") == len(COMPARED) + len(OF_MELANOMA)
    assert "the same difference in every resample" in " ".join(printed.split())
    assert "p = 1.000" in printed
    assert "both rank every pair alike" in printed


def test_missing_interval_has_its_own_reason(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    found = comparing.compare("plain", "better", "val", 100)
    one, other, difference = found.metrics["melanoma_sensitivity"]
    few = {**TOO_FEW_MELANOMAS, "value": difference["value"]}
    printed = as_text(replace(found, metrics={"melanoma_sensitivity": (one, other, few)}))
    assert "- melanoma_sensitivity: fewer than 20 groups are melanomas" in printed


def test_grown_data_are_compared_on_the_images_of_both(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    before, after = compare("plain", "better", "val", 100), compare("grown", "better", "val", 100)
    assert "left out: 20 images of which the data of one of the two knew nothing" in after
    assert before.replace("plain", "grown").splitlines()[2:] == after.splitlines()[2:]


def test_metrics_by_collection(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The models differ in `clinic` alone; what is too few has no metric, and p is adjusted for the number of tests."""
    monkeypatch.chdir(repository)
    found = comparing.compare("merged", "merged-better", "test", 200)
    assert {name: len(part.metrics) for name, part in found.collections.items()} == {"clinic": 8, "few": 0, "ham": 8}
    clinic, ham = (found.collections[name] for name in ("clinic", "ham"))
    assert clinic.metrics == estimates(clinic.one, clinic.other, Bootstrap(200, 1))
    assert set(clinic.one.split.table["collection"]) == {"clinic"}
    assert clinic.metrics["accuracy"][2]["lower"] > 0
    assert [ham.metrics[name][2]["value"] for name in ("accuracy", "macro_auc", "log_loss")] == [0, 0, 0]
    assert ham.metrics["melanoma_auc"][2]["reason"] == "fewer than 20 groups are melanomas"
    values = comparing.context(found, str)["collections"]
    p = {(part["name"], name): test for part in values for name, test in part["tests"].items()}
    assert list(p) == [("clinic", "mcnemar"), ("clinic", "delong"), ("ham", "mcnemar")]
    assert [test["p_holm"] for test in p.values()] == pytest.approx(holm([test["p"] for test in p.values()]))
    printed = as_text(found)
    assert "Collection few: 10 images of 5 groups" in printed
    assert "Fewer than 20 groups: no metrics." in printed
    assert "By collection, 3 tests, adjusted for that number (Holm)" in printed
    assert "ollection" not in compare("plain", "better", "test", 100)
    # Of test on one collection, as with `leave_collection_out`, all is said already.
    ids = pd.Index(ham.one.split.table["image_id"])
    assert collections_of(found.one.only(ids), found.other.only(ids)) == {}


def test_leakage_is_named(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    assert "WARNING: leaky: split by image. Its metrics say nothing of new" in compare("plain", "leaky", "test", 100)


def test_each_experiment_has_its_own_decision_rule(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same predictions; the second calls every image a melanoma."""
    monkeypatch.chdir(repository)
    one, other = (predictions_at_revision(name, "val") for name in ("plain", "by-cost"))
    assert set(other.split.diagnosis) == {CLASSES.index("mel")}
    assert one.split.diagnosis.tolist() == other.split.probability.argmax(axis=1).tolist()
    found = compare("plain", "by-cost", "val", 100)
    assert re.search(r"macro_auc +([\d.]+) +\1 ", found)
    assert re.search(r"melanoma_sensitivity +[\d.]+ +1[.]000 ", found)


def test_results_that_are_not_here_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a fresh clone, where Git has the hash of a folder and no cache its list."""
    monkeypatch.chdir(tmp_path)
    for command in ("git init --quiet", "git config user.email test@example.org", "git config user.name test"):
        run(command, tmp_path)
    run("dvc init --quiet", tmp_path)
    (tmp_path / "data/clean").mkdir(parents=True)
    (tmp_path / "data/clean/classes.csv").write_text("label,diagnoses\n")
    run("dvc add --quiet data/clean", tmp_path)
    commit(tmp_path)
    shutil.rmtree(tmp_path / ".dvc/cache")
    shutil.rmtree(tmp_path / "data/clean")
    with pytest.raises(UserError, match=r"HEAD has no data/clean/classes[.]csv, neither in Git"):
        compare("HEAD", "HEAD", "val", 100)


def test_page_for_a_pull_request(repository: Path, tmp_path: Path) -> None:
    words = ("--resamples", "100", "--markdown", tmp_path / "out/page.md")
    lesions(repository, "compare", "merged", "merged-better", *words)
    page = (tmp_path / "out/page.md").read_text()
    assert re.findall("^### (.*)", page, re.MULTILINE) == ["clinic", "few", "ham"]
    assert page.count("| balanced") == 3
    printed = lesions(repository, "compare", "plain", "leaky", *words).stdout
    page = (tmp_path / "out/page.md").read_text()
    # Every metric as it is printed.
    rows = re.findall(r"^(\w+)(?: \(less is better\))? +([\d.]+) +([\d.]+) +([+-][\d.]+) ", printed, re.MULTILINE)
    assert [row[0] for row in rows] == [*COMPARED, *OF_MELANOMA]
    for metric, *numbers in rows:
        name = metric.replace("_", r"\_")
        assert re.search(rf"^\| {re.escape(name)}[^|]* \| {re.escape(' | '.join(numbers))} \|", page, re.MULTILINE)
    assert "> **WARNING: leaky: split by image. Its metrics say nothing of new lesions" in page
    assert "Chosen by these metrics?" in page
    names = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"page.md", *names}
    first = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    for name in names:
        with Image.open(tmp_path / "out" / name) as image:
            assert np.asarray(image.convert("RGB")).std() > 10
    lesions(repository, "compare", "plain", "leaky", *words)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in names} == first
    lesions(repository, "compare", "plain", "plain", *words)
    assert "WARNING" not in (tmp_path / "out/page.md").read_text()


def test_unwritable_page(repository: Path) -> None:
    done = lesions(repository, "compare", "plain", "better", "--resamples", "100", "--markdown", "data")
    assert done.status == 1
    assert "ERROR: --markdown data is a folder. Expected a file, such as data/comparison.md." in done.stderr


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("nowhere", "nowhere cannot be read: unknown Git revision 'nowhere'. Expected an experiment"),
        ("empty", "empty has no data/clean/classes.csv, neither in Git nor in DVC's cache"),
        ("moved", "have other images on val"),
        ("relabelled", "have other labels: p"),
        ("other-classes", "have other classes: mel, akiec, nv against mel, bcc, nv"),
        ("by-image", "group the images of val otherwise, into"),
        ("no-column", "predictions.csv of no-column has no column leakage: an earlier version"),
        ("no-thresholds", "no-thresholds has no models/thresholds.json, neither in Git nor in DVC's cache"),
        ("no-rule", "models/thresholds.json of no-rule holds no decision rule that this version can read"),
        ("no-numbers", "predictions.csv of no-numbers, row 1 (p0000): expected probabilities"),
    ],
)
def test_incomparable_experiments_are_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch, revision: str, words: str
) -> None:
    monkeypatch.chdir(repository)
    with pytest.raises(UserError) as error:
        compare(revision, "better", "val", 100)
    assert words in str(error.value)


def test_command_ends_without_traceback(repository: Path) -> None:
    printed = run("lesions compare nowhere", repository, fails=True)
    assert printed.startswith("ERROR: nowhere cannot be read")
    assert "Traceback" not in printed


def test_too_few_resamples_are_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    with pytest.raises(UserError, match="expected 100 to 100,000, found 5"):
        compare("plain", "better", "val", 5)


def test_command_loads_no_tensorflow(repository: Path) -> None:
    script = repository / "probe.py"
    script.write_text(
        "import sys\n"
        "from lesions.cli import main\n"
        "print('sklearn' in sys.modules)\n"
        "sys.argv = ['lesions', 'compare', 'plain', 'better', '--resamples', '100']\n"
        "main()\n"
        "print('keras' in sys.modules or 'tensorflow' in sys.modules)\n"
    )
    printed = run("python probe.py", repository)
    script.unlink()
    assert [line for line in printed.splitlines() if line in ("True", "False")] == ["False", "False"]
