"""The command `lesions`: each subcommand's options, and below them what it runs.

What takes long to import is imported by the subcommand that needs it.
"""

import argparse
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from lesions.core.errors import UserError, needs_extra, system_error
from lesions.core.sanitize import printable
from lesions.core.signals import end_like_ctrl_c, end_no_more, is_interrupt

AddCommand: TypeAlias = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]
"""Takes a command's name, what runs it, and a line of help; returns its parser."""


def main() -> None:
    """Run one of the subcommands; exit with 1 on an error that the person can mend."""
    parser = argparse.ArgumentParser(prog="lesions", description="Classifiers of dermoscopy images.")
    parser.add_argument("--version", action="version", version=f"lesions {version('lesions')}")
    parser.set_defaults(run=lambda _: parser.print_help())
    commands = parser.add_subparsers(metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], says: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=says)
        added.set_defaults(run=run)
        return added

    command("check", check_params, "say what is wrong in params.yaml, without running anything")
    command("sources", print_sources, "list where images can come from, and what of it is already here")
    add_experiment_commands(command)
    add_model_commands(command)
    add_project_commands(command)
    arguments = parser.parse_args()
    end_like_ctrl_c()
    try:
        arguments.run(arguments)
        sys.stdout.flush()  # a full disk beneath it is said here
    except UserError as error:
        sys.exit(f"ERROR: {printable(str(error))}")
    except BrokenPipeError:  # whoever read the answers, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(f"ERROR: {printable(system_error(error, '' if _can_print() else 'standard output'))}")
    except (Exception, KeyboardInterrupt) as error:
        if not is_interrupt(error):
            raise
        sys.exit("\nInterrupted.")
    finally:
        end_no_more()  # else Python itself, as it ends, would meet the signal


def _can_print() -> bool:
    """Whether there is room where what is printed goes, tried with a line's end: what failed is not tried again."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError:
        return False
    return True


def a_name(text: str) -> str:
    """Return an argument that is not empty: "" would be the current folder, as of a variable that is not set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a name, found nothing")
    return text


def a_path(text: str) -> Path:
    """Return a path that is not empty; see `a_name`."""
    return Path(a_name(text))


def add_experiment_commands(command: AddCommand) -> None:
    """Add the commands about params.yaml and experiments."""
    add = command("preset", use_preset, "put a data set's recipe or a published system into params.yaml").add_argument
    add("name", nargs="?", help="without it, list them")
    add("--set-param", action="store_true", help="print it as options of `dvc exp run` instead")

    add = command("metrics", print_metrics, "show a table of the experiments and their metrics").add_argument
    add("--split", choices=["val", "test"], default="val", help="val, to choose by; test, to report")

    add = command("compare", compare_experiments, "say how two experiments differ, beyond chance").add_argument
    add("first", help="an experiment's name, or any Git revision")
    add("second", nargs="?", default="workspace", help="without it, the files as they are")
    add("--split", choices=["val", "test"], default="val", help="val, to choose by; test, to report")
    add("--resamples", type=int, help="of the bootstrap; without it, evaluate.n_bootstrap")
    add("--markdown", type=a_path, metavar="FILE", help="also write it for a pull request, with images beside the file")

    add = command(
        "keep-split", keep_split, "keep the split of a commit, so that new images alone are assigned"
    ).add_argument
    add("revision", nargs="?", default="HEAD", type=a_name, help="any Git revision, or an experiment; without it, HEAD")

    add = command("study", run_study, "run or resume a list of experiments, and report on them").add_argument
    add("name", nargs="?", help="of a file in studies/; without it, list them, and what is done")
    add("--dry", action="store_true", help="say what would run, and run nothing")
    reads = "read the images there instead of fetching a published set"
    add("--source-folder", type=a_path, metavar="DIR", help=reads)
    add("--report", type=a_path, metavar="FILE", help="where the report goes; else where the study says")
    runs = "run them on the workers of that Dask scheduler, as in tcp://host:8786; pushes to the DVC remote, and "
    add("--cluster", metavar="ADDRESS", help=runs + "experiments to `origin`: docs/cluster.md")


def add_model_commands(command: AddCommand) -> None:
    """Add the commands that run a model."""
    parser = command("classify", classify_images, "classify images, with an alert for melanoma")
    classify, form = parser.add_argument, parser.add_mutually_exclusive_group()
    classify("images", nargs="+", type=a_name, metavar="IMAGE", help="a file, a folder, or - for standard input")
    form.add_argument("--csv", action="store_const", dest="form", const="csv", help="print a table for a spreadsheet")
    form.add_argument("--json", action="store_const", dest="form", const="json", help="print JSON for a program")
    parser.set_defaults(form="table")
    classify("--heatmap", type=a_path, metavar="DIR", help="write each image beside its heat map there")
    classify("--age", default="", metavar="YEARS", help="of the patient, where the model uses it")
    classify("--sex", default="", help="female or male, likewise")
    classify("--site", default="", help="of the lesion, likewise: back, face, lower extremity, ...")

    add = command("audit", audit_images, "find label errors, repeated photographs, other subjects").add_argument
    study = "use the out-of-fold predictions of that study, as of all images with `folds`; else of validation alone"
    add("--study", default="", metavar="NAME", help=study)
    add("--test", action="store_true", help="show those of test too, to mend labels of all splits alike")
    add("--fast", action="store_true", help="compare images as they are, not turned: seconds, and finds fewer pairs")
    add("--out", type=a_path, default=Path("data/audit"), metavar="DIR", help="without it, data/audit")

    page = command("page", serve_page, "serve a local web page that classifies the images dropped on it").add_argument
    page("--port", type=int, default=8765, help="8765 without it; 0 takes any that is free")

    validate = command("validate", validate_model, "evaluate a model on other collections").add_argument
    holds = "images and diagnoses; of several, each is a collection of its name"
    validate("folders", nargs="+", type=a_path, metavar="FOLDER", help=holds)
    maps = "the model's class of a diagnosis with another name; may be given several times"
    validate("--class", action="append", default=[], dest="mapping", metavar="THEIRS=OURS", help=maps)
    trained = "what the model was trained on, to leave that out"
    validate("--data", type=a_path, default=Path("data"), metavar="DIR", help=trained)
    validate("--out", type=a_path, default=Path("reports/validation"), metavar="DIR", help="for the report")
    validate("--resamples", type=int, help="of the bootstrap; without it, evaluate.n_bootstrap")

    renew = command("recalibrate", recalibrate_model, "fit a model's thresholds on your own collection").add_argument
    renew("folder", type=a_path, metavar="FOLDER", help="its images and diagnoses, which the model has not seen")
    renew("--class", action="append", default=[], dest="mapping", metavar="THEIRS=OURS", help=maps)
    renew("--data", type=a_path, default=Path("data"), metavar="DIR", help=trained)
    renew("--out", type=a_path, default=Path("recalibrated"), metavar="DIR", help="for the new model")
    renew("--replace", action="store_true", help="an earlier one there may go")

    export = command("export", export_model, "write a model as ONNX and LiteRT files, for other programs").add_argument
    export("--out", type=a_path, default=Path("exported"), metavar="DIR", help="without it, exported")

    for add in (classify, page, validate, renew, export):
        add("--models", type=a_path, default=Path("models"), metavar="DIR", help="the model's folder")
    alerts = "the alerts' thresholds: this sensitivity on validation, in per cent; 90 without it"
    for add in (classify, page):
        add("--sensitivity", type=int, choices=[80, 90, 95], default=90, help=alerts)


def add_project_commands(command: AddCommand) -> None:
    """Add the commands about a project of one's own."""
    add = command("new", make_project, "make a project of your own from this clone").add_argument
    add("folder", type=a_path, metavar="FOLDER", help="does not exist yet, and lies in no repository")
    add("--data", type=a_path, metavar="DIR", help="with your images and their diagnoses")
    add("--remote", default="", metavar="ADDRESS", help="DVC's remote: a folder, s3://..., ssh://...")

    add = command("update", update_project, "bring a later version of the pipeline into your project").add_argument
    add("version", nargs="?", default="main", help="a branch or tag of the Git remote `upstream`; main without it")


def check_params(_: argparse.Namespace) -> None:
    """Check params.yaml in the current folder, and the folder of images that it names."""
    from lesions.params.all import check_all
    from lesions.params.inputs import check_inputs

    check_all()
    check_inputs()
    print("params.yaml holds what the stages expect.")


def print_sources(_: argparse.Namespace) -> None:
    """List the sources, and what of each lies in data/downloads of the current folder."""
    from lesions.commands.sources import list_sources

    print(list_sources())


def use_preset(arguments: argparse.Namespace) -> None:
    """Apply a preset to params.yaml in the current folder and show the change, or list all."""
    from lesions.commands.presets import apply_preset, list_presets, set_param

    if arguments.name is None:
        print(list_presets())
    elif arguments.set_param:
        print(set_param(arguments.name))
    else:
        if changed := apply_preset(arguments.name).rstrip():
            print(changed)
            print("params.yaml holds this now; `git checkout params.yaml` undoes it.", file=sys.stderr)
        else:
            print(f"params.yaml holds the preset {arguments.name} already.")


def print_metrics(arguments: argparse.Namespace) -> None:
    """Print the experiments and their metrics."""
    from lesions.commands.metrics import metrics_table

    print(metrics_table(arguments.split))


def compare_experiments(arguments: argparse.Namespace) -> None:
    """Print how two experiments differ, and write it with --markdown as a page too."""
    from lesions.commands.compare.compare import as_text, compare

    comparison = compare(arguments.first, arguments.second, arguments.split, arguments.resamples)
    print(as_text(comparison))
    if arguments.markdown:
        from lesions.commands.compare.page import write_page

        print(f"\nWritten: {', '.join(map(str, write_page(comparison, arguments.markdown)))}")


def keep_split(arguments: argparse.Namespace) -> None:
    """Write the split of a revision into a file, and name it in params.yaml."""
    from lesions.commands.keep_split import keep_split

    print(keep_split(arguments.revision))


def run_study(arguments: argparse.Namespace) -> None:
    """Run a study, or say how far all are; exit with 1 where an experiment failed, or on Ctrl-C."""
    from lesions.commands.study.command import run_study

    run_study(arguments)


def classify_images(arguments: argparse.Namespace) -> None:
    """Print the diagnoses of images; exit with 1 where an image has none."""
    from lesions.commands.classify.inputs import find

    images = find(arguments.images, arguments.heatmap)
    from lesions.commands.classify.run import classify

    metadata = {field: getattr(arguments, field) for field in ("age", "sex", "site")}
    if not classify(images, arguments.models, arguments.form, arguments.heatmap, arguments.sensitivity, metadata):
        sys.exit(1)


def audit_images(arguments: argparse.Namespace) -> None:
    """Write what a person should look at again."""
    from lesions.commands.audit.audit import audit

    print(audit(arguments.out, arguments.study, test=arguments.test, fast=arguments.fast))


def serve_page(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    from lesions.commands.page.server import serve

    serve(arguments.models, arguments.sensitivity, arguments.port)


def validate_model(arguments: argparse.Namespace) -> None:
    """Evaluate a model on other collections, write a report, and print the headline."""
    from lesions.commands.validate.validate import validate

    names = ("folders", "models", "mapping", "data", "out", "resamples")
    print(validate(**{name: getattr(arguments, name) for name in names}))


def recalibrate_model(arguments: argparse.Namespace) -> None:
    """Write a new model's folder, with calibration and thresholds of a collection, and print what they rest on."""
    from lesions.commands.recalibrate.recalibrate import recalibrate

    names = ("folder", "models", "mapping", "data", "out", "replace")
    print(recalibrate(**{name: getattr(arguments, name) for name in names}))


def export_model(arguments: argparse.Namespace) -> None:
    """Write the model's ONNX and LiteRT files."""
    with needs_extra("export"):
        from lesions.commands.export.export import export

    export(arguments.models, arguments.out)


def make_project(arguments: argparse.Namespace) -> None:
    """Make a project of one's own from the clone in the current folder."""
    from lesions.commands.project import new_project

    print(new_project(arguments.folder, arguments.data, arguments.remote))


def update_project(arguments: argparse.Namespace) -> None:
    """Merge a later version into the project in the current folder."""
    from lesions.commands.project import update

    print(update(arguments.version))
