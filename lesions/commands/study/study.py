"""A study: a small file in studies/, read into experiments with whole parameters each."""

import itertools
import re
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lesions.commands.presets import merged, read_preset
from lesions.core.errors import UserError
from lesions.core.params import did_you_mean, read_file
from lesions.params.all import check_sections

FOLDER = Path("studies")
NAME = r"[A-Za-z0-9]+([._-][A-Za-z0-9]+)*"
"""Names of studies and experiments: what Git takes as part of a ref, a shell as it is, and a person can say."""
Name = Annotated[str, Field(pattern=f"^{NAME}$", max_length=60)]
Split = Literal["val", "test"]
Metric = Literal["accuracy", "balanced_accuracy", "macro_auc"]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""Those that a report compares."""


class StrictModel(BaseModel):
    """A part of the file: no other keys, and no value of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Published(StrictModel):
    """A metric that somebody published, what its images were called there, and where it stands."""

    value: float = Field(ge=0, le=1)
    split: Split
    source: str = Field(min_length=1)


class Step(StrictModel):
    """A step of a ladder: an experiment, and the images that it is shown on.

    Attributes:
        experiment: its name, without the values of its `each`.
        shows: what it is, in words.
        split: of the images, where it is not the study's.
        seen_by: an experiment; of the images, only those of a group that it trains with.
        unseen_by: the same, only those of other groups.
    """

    experiment: str
    shows: str = Field(min_length=1)
    split: Split | None = None
    seen_by: str | None = None
    unseen_by: str | None = None

    def names(self) -> list[str]:
        """Return the experiments that it needs."""
        return [name for name in (self.experiment, self.seen_by, self.unseen_by) if name is not None]


class Ladder(StrictModel):
    """From one metric to another, a change at a time, such as from a published one to that without its faults.

    Attributes:
        name: its name.
        published: the metric that the first step repeats.
        steps: in order.
    """

    name: str = Field(min_length=1)
    published: Published | None = None
    steps: Annotated[list[Step], Field(min_length=1)]


class Overrides(StrictModel):
    """What the file says of one experiment, or of all (`common`)."""

    presets: list[str] = []
    set: dict[str, Any] = {}


class Experiment(Overrides):
    """An experiment, or with `each` one for every value, or for every combination of values.

    Attributes:
        name: its name.
        each: parameters with the values that they get in turn.
    """

    name: Name
    each: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}


class Study(StrictModel):
    """A file in studies/.

    Attributes:
        name: of the file; its experiments are called `NAME-EXPERIMENT`.
        title: of the report.
        question: in a sentence.
        metric: what the report's plot shows.
        split: the images that it is of, where a ladder's step does not say otherwise.
        report: where the report is written.
        baseline: the experiment, without the values of its `each`, that the report holds the others against; or "".
        common: what all experiments get first.
        experiments: in the order in which they run.
        ladders: of experiments, which the report begins with.
        notes: Markdown, with which it ends.
    """

    name: Name
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    metric: Metric = "balanced_accuracy"
    split: Split = "test"
    report: str = ""
    baseline: str = ""
    common: Overrides = Overrides()
    experiments: Annotated[list[Experiment], Field(min_length=1)]
    ladders: list[Ladder] = []
    notes: str = ""

    @model_validator(mode="after")
    def _expand_and_check(self) -> Self:
        given = [entry.name for entry in self.experiments]
        self.experiments = [one for entry in self.experiments for one in expand_each(entry)]
        names = [entry.name for entry in self.experiments]
        if self.baseline and self.baseline not in given:
            raise ValueError(f"baseline: there is no experiment {self.baseline}; {did_you_mean(self.baseline, given)}")
        # Two entries of one name would be compared as one, also where `each` gives their experiments different names.
        if twice := {name for found in (given, names) for name in found if found.count(name) > 1}:
            raise ValueError(f"two experiments are called {sorted(twice)[0]}")
        for entry in self.experiments:
            if not re.fullmatch(NAME, entry.name) or entry.name.endswith(".lock"):
                raise ValueError(f"{entry.name!r} is no name for an experiment: use letters, digits and - . _ between")
        for ladder in self.ladders:
            for name in (name for step in ladder.steps for name in step.names() if name not in given):
                raise ValueError(f"ladder {ladder.name}: there is no experiment {name}; {did_you_mean(name, given)}")
        return self

    def report_file(self) -> Path:
        """Return where the report is written; its plot lies beside it."""
        return Path(self.report or f"reports/{self.name}.md")

    def configurations(self) -> dict[str, list[str]]:
        """Return the names of the experiments by what the file calls them, without the values of their `each`."""
        found: dict[str, list[str]] = {}
        for entry in self.experiments:
            configuration = entry.name.removesuffix("".join(f"-{entry.set[key]}" for key in entry.each))
            found.setdefault(configuration, []).append(entry.name)
        return found


def expand_each(entry: Experiment) -> list[Experiment]:
    """Return an entry for each combination of the values of `each`, named after them; without any, the entry."""
    if not entry.each:
        return [entry]
    found = []
    for values in itertools.product(*entry.each.values()):
        chosen = dict(zip(entry.each, values, strict=True))
        name = "-".join([entry.name, *map(str, values)])
        found.append(entry.model_copy(update={"name": name, "set": {**entry.set, **chosen}}))
    return found


def list_studies(folder: Path = FOLDER) -> dict[str, Path]:
    """Return the files of studies by name.

    Raises:
        UserError: there are none.
    """
    files = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
    if not files:
        raise UserError(f"There is no folder {folder}/ with studies here; run this in the project's folder.")
    return files


def read_study(name: str, folder: Path = FOLDER) -> Study:
    """Return a study.

    Raises:
        UserError: there is none of that name, or what its file says is none.
    """
    files = list_studies(folder)
    if name not in files:
        raise UserError(f"There is no study {name!r}; {did_you_mean(name, files)}")
    content = read_file(files[name])
    try:
        return Study.model_validate({**content, "name": name})
    except ValidationError as error:
        lines = [_sentence(detail, content) for detail in error.errors()]
        raise UserError("\n  ".join([f"{files[name]} cannot be used:", *lines])) from None


def merge_params(study: Study, entry: Experiment, params: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters of an experiment: params.yaml's, then `common`'s, then its own.

    Args:
        study: whose `common` it gets.
        entry: the experiment.
        params: the content of params.yaml.

    Raises:
        UserError: a preset is unknown, or a stage would not understand the whole.
    """
    where = f"{FOLDER / study.name}.yaml, experiment {entry.name}"
    try:
        for part in (study.common, entry):
            for preset in part.presets:
                params = merged(params, read_preset(preset))
            params = _with(params, part.set)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    check_sections(params, Path(where))
    return params


def _with(params: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with others in their place, each named with dots: `train.reduce_lr_on_plateau.patience`."""
    params = deepcopy(params)
    for key, value in values.items():
        group: Any = params
        *groups, last = key.split(".")
        for name in groups:
            group = group.get(name) if isinstance(group, dict) else None
        if not groups or not isinstance(group, dict):
            raise UserError(f"set: {key} is no parameter; expected its section and name, such as train.epochs")
        group[last] = value
    return params


def _sentence(detail: Any, content: dict[str, Any]) -> str:
    """Turn one of pydantic's error records into a sentence for the person who wrote the file."""
    place, kind = list(detail["loc"]), detail["type"]
    if place[:1] == ["experiments"] and len(place) > 1:
        entry = content["experiments"][place[1]]
        place[:2] = [f"experiment {entry.get('name', place[1] + 1) if isinstance(entry, dict) else place[1] + 1}"]
    if kind == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    message = f"{detail['msg'][0].lower()}{detail['msg'][1:]}; found {detail['input']!r}"
    ours = {
        "extra_forbidden": "unknown key; remove it",
        "missing": "missing",
        "string_pattern_mismatch": f"expected letters and digits, with - . _ between; found {detail['input']!r}",
    }
    return f"{'.'.join(map(str, place))}: {ours.get(kind, message)}"
