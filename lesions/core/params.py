"""What all sections of params.yaml have in common: reading one, and saying what is wrong with it."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lesions.core.errors import UserError

FILE = Path("params.yaml")
NO_FILE = "data/none"
"""Stands for "no file": DVC wants to see something under each name that dvc.yaml gives it."""

RENAMED = {
    "download.pictures": "n_images",
    "clean.other_diagnoses": "unmapped_diagnoses",
    "clean.contradictions": "label_conflicts",
    "clean.age_missing": "impute_age",
    "clean.classes.*.of": "diagnoses",
    "clean.classes.*.nature": "malignancy",
    "split.val": "val_fraction",
    "split.test": "test_fraction",
    "split.separated": "group_overlap",
    "split.siblings": "same_lesion",
    "prepare.px": "image_size",
    "prepare.fit": "resize_mode",
    "prepare.borders": "crop_borders",
    "rebalance.extra": "copies_per_class",
    "train.batch": "batch_size",
    "train.members": "ensemble_size",
    "train.warmup": "warmup_epochs",
    "train.plateau": "reduce_lr_on_plateau",
    "train.keep": "restore_best_weights",
    "train.early_stopping": "early_stopping_patience",
    "train.logit_adjustment": "logit_adjustment_tau",
    "train.head_epochs": "freeze_backbone_epochs",
    "train.backbone_rate": "backbone_lr_multiplier",
    "predict.dihedral": "tta",
    "predict.patient": "calibrate.use_metadata",
    "evaluate.sides": "splits",
    "evaluate.resamples": "n_bootstrap",
    "explain.examples": "examples_per_class",
}
"""New names of keys, by section and old name."""
RENAMED_VALUES = {("split.method", "declared"): "published"}
"""New names of values, by key and old name."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the known word that `word` was probably meant to be, or list all known ones.

    >>> did_you_mean("sead", ["seed", "image_size"])
    'did you mean "seed"?'
    >>> did_you_mean("colour", ["seed", "image_size"])
    'known: image_size, seed'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known: {', '.join(known)}"


def check_path(path: str, suffixes: tuple[str, ...]) -> str:
    """Return the path of a file that dvc.yaml takes from params.yaml, or `NO_FILE`.

    Args:
        path: as params.yaml has it.
        suffixes: one of which it ends with.

    Raises:
        ValueError: it can name no such file.
    """
    if path.startswith("~"):
        raise ValueError("write the whole path; ~ is not replaced")
    if "\0" in path:
        raise ValueError("no file has the character NUL in its name")
    if path != NO_FILE and not path.endswith(suffixes):
        raise ValueError(f"expected a file {' or '.join(suffixes)}, or {NO_FILE} for none")
    return path


def read_file(file: Path = FILE) -> dict[str, Any]:
    """Return params.yaml as a dictionary of sections.

    It is read as DVC reads it (YAML 1.2), so that both see the same values: `1e-3` is a number.

    Raises:
        UserError: the file is missing, is no text in UTF-8, is no YAML, or is no mapping of sections.
    """
    text = read_text(file)
    try:
        content = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise UserError(f"{file} is no valid YAML: {error}") from None
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise UserError(f"{file} must hold named sections, such as `split:`.")
    return content


def read_text(file: Path = FILE) -> str:
    """Return the text of params.yaml, or of a part of one.

    Raises:
        UserError: the file is missing, or is no text in UTF-8.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file} is missing; `git checkout {file}` brings it back.") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"line {line} holds a byte that is none"
    else:
        if "\0" not in text:
            return text.replace("\r\n", "\n")
        found = "it holds NUL"
    if b"\0" in content:
        found = "it looks like UTF-16, as PowerShell's `>` writes it"
    raise UserError(
        f"{file} is no text in UTF-8: {found}. Save it as UTF-8 in an editor, or in PowerShell: "
        f"`(Get-Content {file}) | Set-Content -Encoding utf8 {file}`."
    )


class Section(BaseModel):
    """One section of params.yaml; its name is the class's in lower case."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    file: ClassVar[Path] = FILE

    @classmethod
    def name(cls) -> str:
        """Return the section's name in params.yaml."""
        return cls.__name__.lower()

    @classmethod
    def read(cls, file: Path = FILE) -> Self:
        """Read and check this section.

        Raises:
            UserError: names each wrong key, what was found, and what was expected.
        """
        values = read_file(file).get(cls.name())
        if values is None:
            raise UserError(f"{file} has no section `{cls.name()}`.")
        return cls.check(values, file)

    @classmethod
    def check(cls, values: object, file: Path = FILE) -> Self:
        """Check the values of this section; see `read`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [cls._sentence(detail) for detail in error.errors()]
            raise UserError("\n  ".join([f"{file} has values that cannot be used:", *lines])) from None

    @classmethod
    def _sentence(cls, detail: Any) -> str:
        """Turn one of pydantic's error records into a sentence for the person who edited the file."""
        place = ".".join(str(part) for part in [cls.name(), *detail["loc"]])
        if detail["type"] == "extra_forbidden":
            key = str(detail["loc"][-1])
            anywhere = place if len(detail["loc"]) == 1 else f"{cls.name()}.{detail['loc'][0]}.*.{key}"
            if anywhere in RENAMED:
                return f"{place}: {key} is now called {RENAMED[anywhere]}"
            hint = did_you_mean(key, cls.model_fields) if len(detail["loc"]) == 1 else "remove it"
            return f"{place}: unknown key; {hint}"
        if detail["type"] == "missing":
            return f"{place}: missing; `git diff params.yaml` shows whether it was removed"
        old = detail["input"] if isinstance(detail["input"], str) else ""
        if (place, old) in RENAMED_VALUES:
            return f"{place}: {old} is now called {RENAMED_VALUES[place, old]}"
        message = detail["msg"]
        ours = detail["type"] == "value_error"
        message = message.removeprefix("Value error, ") if ours else message[0].lower() + message[1:]
        return f"{place}: {message}; found {detail['input']!r}"
