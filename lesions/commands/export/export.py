"""`lesions export`: a model's folder as an ONNX and a LiteRT file."""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lesions.classifier import Classifier
from lesions.commands.export import facts as about_model
from lesions.commands.export import judged, litert_file, loss, onnx_file
from lesions.commands.export.answering import Answers, answering, keras_answers
from lesions.commands.export.converting import converted
from lesions.commands.export.judged import Judged
from lesions.core.errors import UserError
from lesions.inference.ood_images import EACH, KINDS, generated

MOST = 1e-4
"""By which a probability in a file may differ from Keras's."""
DRAWN, VALIDATION = 18, 46
"""Pictures on which that is checked."""
REPRESENTATIVE = 200
"""Training pictures by which int8 finds the ranges of activations."""
ALL_FILES = (onnx_file.NAME, litert_file.NAME, litert_file.NAME_INT8, about_model.NAME)


def export(models: Path, out: Path, data: Path, *, int8: bool) -> None:
    """Write model.onnx, model.tflite, model.json, and where asked model.int8.tflite, and print what was found.

    Args:
        models: the model's folder.
        out: gets the files, once all of them are made and checked.
        data: the pipeline's, for validation pictures to check on, and for int8.
        int8: also write that variant. It needs the training pictures, and the others to measure its loss.

    Raises:
        UserError: there is no model, the network cannot be converted, a file does not answer as Keras does, or int8
            is wanted and the data is not there.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is no folder to write the files into; name another with --out.")
    classifier = Classifier.of_folder(models)
    for warning in classifier.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    known = _known(data, classifier, int8)
    exact = _exact(classifier, known) if int8 and known else {}
    model, network = answering(classifier), classifier.model
    with tqdm(total=2 + int8, desc="converting", unit=" files", disable=None, leave=False) as progress:
        proto = converted(lambda: onnx_file.convert(model), network, "ONNX")
        progress.update()
        lite = converted(lambda: litert_file.convert(model), network, "LiteRT")
        progress.update()
        if int8 and known:
            train = known.train
            small = converted(lambda: litert_file.convert_int8(model, train), network, "LiteRT in int8")
            progress.update()
    facts = about_model.facts(classifier, _loss(classifier, known, exact, small) if int8 and known else None)
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    inside = {about_model.NAME: text}
    files = {
        onnx_file.NAME: onnx_file.with_facts(proto, inside),
        litert_file.NAME: litert_file.with_facts(lite, inside),
        about_model.NAME: text.encode(),
    }
    pictures = _to_check_on(classifier, known)
    apart = _checked(files, keras_answers(classifier, pictures), pictures)
    if int8 and known:
        files[litert_file.NAME_INT8] = litert_file.with_facts(small, inside)
    _write(out, files)
    for name, content in files.items():
        note = f", at most {apart[name]:.1g} from Keras on {len(pictures)} pictures" if name in apart else ""
        print(f"{out / name}: {len(content) / 1e6:,.2f} MB{note}")
    if facts["int8"]:
        print("\n" + loss.as_table({side: facts["int8"][side] for side in judged.SIDES}))


def _known(data: Path, classifier: Classifier, int8: bool) -> Judged | None:
    """Return the model's own pictures; without int8 they may be missing, and that is said."""
    try:
        return judged.read(data, classifier, REPRESENTATIVE)
    except UserError as error:
        if int8:
            raise UserError(
                f"{error}\nint8 needs the model's training pictures, and its validation and test pictures to say what "
                "is lost. Without --int8, no data is needed."
            ) from None
        print(f"Checked on drawn pictures alone: {error}", file=sys.stderr)
        return None


def _to_check_on(classifier: Classifier, known: Judged | None) -> NDArray[np.uint8]:
    """Return drawn pictures, which are unlike any lesion, and some of validation."""
    drawn = list(generated(*classifier.recipe.px, seed=0))[:: EACH * len(KINDS) // DRAWN]
    validation = list(known.sides["val"].pixels[:VALIDATION]) if known else []
    return np.stack([*(picture for *_, picture in drawn), *validation])


def _exact(classifier: Classifier, known: Judged) -> dict[str, Answers]:
    """Return Keras's answers of each side with pictures.

    Raises:
        UserError: the predictions are another model's.
    """
    exact = {}
    for name, side in known.sides.items():
        if len(side.label):
            exact[name] = keras_answers(classifier, side.pixels)
            if not np.abs(exact[name]["uncalibrated"] - side.said).max() <= MOST:
                raise UserError(
                    "data/predictions holds another model's answers, so that nobody knows on which pictures this one "
                    "was judged. `dvc repro` makes all anew; without --int8, no data is needed."
                )
    return exact


def _loss(classifier: Classifier, known: Judged, exact: dict[str, Answers], content: bytes) -> dict[str, Any]:
    """Return what model.json says of int8."""
    found: dict[str, Any] = {
        "file": litert_file.NAME_INT8,
        "ranges_from": f"{len(known.train)} training pictures",
        "in_float32": "what makes probabilities of the network's last sums",
    } | dict.fromkeys(judged.SIDES)
    for name, answers in exact.items():
        side = known.sides[name]
        progress = tqdm(side.pixels, desc=f"int8 on {name}", unit=" pictures", disable=None, leave=False)
        found[name] = loss.measured(side, answers, litert_file.ask(content, progress), classifier.decision)
    return found


def _checked(files: dict[str, bytes], expected: Answers, pictures: NDArray[np.uint8]) -> dict[str, float]:
    """Return by how much each float file's probabilities differ from Keras's, at most.

    Raises:
        UserError: that is more than `MOST`.
    """
    apart = {}
    for name, ask in ((onnx_file.NAME, onnx_file.ask), (litert_file.NAME, litert_file.ask)):
        found = ask(files[name], pictures)
        apart[name] = max(float(np.abs(expected[output] - found[output]).max()) for output in expected)
        if not apart[name] <= MOST:
            raise UserError(
                f"{name} would not answer as Keras does: a probability differs by {apart[name]:.2g}, and at most "
                f"{MOST:g} is allowed. Nothing was written. The converter gets one of the network's layers wrong: use "
                "another architecture."
            )
    return apart


def _write(out: Path, files: dict[str, bytes]) -> None:
    """Put the files there, each whole or not at all; an older export's int8 would be another model's."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".unfinished-") as folder:
            for name, content in files.items():
                Path(folder, name).write_bytes(content)
            for name in files:
                Path(folder, name).replace(out / name)
        for name in set(ALL_FILES) - set(files):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename or out} cannot be written: {error.strerror}.") from None
