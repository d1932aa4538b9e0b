"""All sections of params.yaml together."""

from pathlib import Path
from typing import Any

from lesions.core.errors import UserError
from lesions.core.params import FILE, Section, did_you_mean, read_file
from lesions.params.calibrate import Calibrate
from lesions.params.clean import Clean
from lesions.params.cross_checks import cross_problems
from lesions.params.download import Download
from lesions.params.evaluate import Evaluate
from lesions.params.explain import Explain
from lesions.params.predict import Predict
from lesions.params.prepare import Prepare
from lesions.params.pretrained import Pretrained
from lesions.params.rebalance import Rebalance
from lesions.params.split import Split
from lesions.params.train import Train

SECTIONS: dict[str, type[Section]] = {
    section.name(): section
    for section in (
        Download,
        Clean,
        Split,
        Prepare,
        Rebalance,
        Pretrained,
        Train,
        Predict,
        Calibrate,
        Evaluate,
        Explain,
    )
}


def check_all(file: Path = FILE) -> None:
    """Check every section of params.yaml.

    Raises:
        UserError: with all that is wrong in all sections.
    """
    check_sections(read_file(file), file)


def with_defaults(content: dict[str, Any], file: Path = FILE) -> dict[str, Any]:
    """Return what params.yaml holds, each key that it leaves out with its default.

    Args:
        content: of params.yaml.
        file: its name, for the messages.
    """
    return {name: section.check(content.get(name), file).model_dump(mode="json") for name, section in SECTIONS.items()}


def check_sections(content: dict[str, Any], file: Path = FILE) -> None:
    """Check what params.yaml holds, or would hold; see `check_all`."""
    unknown = [name for name in content if name not in SECTIONS]
    hints = {name: did_you_mean(name, SECTIONS) for name in unknown}
    if "weights" in unknown:
        hints["weights"] = "weights is now called pretrained, with the keys model, alpha, weights and path"
    problems = [f"{file}: unknown section `{name}`; {hints[name]}" for name in unknown]
    for name, section in SECTIONS.items():
        try:
            if content.get(name) is None:
                raise UserError(f"{file} has no section `{name}`.")
            section.check(content[name], file)
        except UserError as error:
            problems.append(str(error))
    if problems := problems or cross_problems(content, file):
        raise UserError("\n".join(problems))
