"""The command `lesions`: each subcommand's options, and below them what it runs.

What takes long to import is imported by the subcommand that needs it.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lesions.commands.presets import apply_preset, list_presets, set_param
from lesions.commands.sources import list_sources
from lesions.core.errors import UserError, needs_extra
from lesions.params.all import check_all


class Command(NamedTuple):
    """A subcommand: a line of help, what adds its options to a parser, and what runs it."""

    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def main() -> None:
    """Run one of the subcommands; exit with 1 on an error that the person can mend."""
    parser = argparse.ArgumentParser(prog="lesions", description="Classifiers of dermoscopy images.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help)
        subparser.set_defaults(run=command.run)
        command.add_options(subparser)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except UserError as error:
        sys.exit(f"ERROR: {error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted.")
    except BrokenPipeError:  # whoever read the answers, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def no_options(_: argparse.ArgumentParser) -> None:
    """Add none."""


def check_params(_: argparse.Namespace) -> None:
    """Check params.yaml in the current folder."""
    check_all()
    print("params.yaml holds what the stages expect.")


def print_sources(_: argparse.Namespace) -> None:
    """List the sources, and what of each lies in data/downloads of the current folder."""
    print(list_sources())


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lesions preset`."""
    parser.add_argument("name", nargs="?", help="without it, list them")
    parser.add_argument("--set-param", action="store_true", help="print it as options of `dvc exp run` instead")


def use_preset(arguments: argparse.Namespace) -> None:
    """Apply a preset to params.yaml in the current folder and show the change, or list all."""
    if arguments.name is None:
        print(list_presets())
    elif arguments.set_param:
        print(set_param(arguments.name))
    else:
        print(apply_preset(arguments.name).rstrip() or f"params.yaml holds the preset {arguments.name} already.")


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lesions compare`."""
    parser.add_argument("first", help="an experiment's name, or any Git revision")
    parser.add_argument("second", nargs="?", default="workspace", help="without it, the files as they are")
    parser.add_argument("--split", choices=["val", "test"], default="val", help="val, to choose by; test, to report")
    parser.add_argument("--resamples", type=int, help="of the bootstrap; without it, evaluate.n_bootstrap")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write it for a pull request, with images beside the file"
    )


def compare_experiments(arguments: argparse.Namespace) -> None:
    """Print how two experiments differ, and write it with --markdown as a page too."""
    from lesions.commands.compare.compare import as_text, compare

    comparison = compare(arguments.first, arguments.second, arguments.split, arguments.resamples)
    print(as_text(comparison))
    if arguments.markdown:
        from lesions.commands.compare.page import write_page

        print(f"\nWritten: {', '.join(map(str, write_page(comparison, arguments.markdown)))}")


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lesions study`."""
    parser.add_argument("name", nargs="?", help="of a file in studies/; without it, list them, and what is done")
    parser.add_argument("--dry", action="store_true", help="say what would run, and run nothing")
    parser.add_argument(
        "--source-folder", type=Path, metavar="DIR", help="read the images there instead of fetching a published set"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="where the report goes; else where the study says")
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run them on the workers of that Dask scheduler, as in tcp://host:8786; pushes to the DVC remote, and "
        "experiments to `origin`: docs/cluster.md",
    )


def run_study(arguments: argparse.Namespace) -> None:
    """Run a study, or say how far all are; exit with 1 where an experiment failed, or on Ctrl-C."""
    from lesions.commands.study.plan import all_progress, plan, progress

    if arguments.name is None:
        print(all_progress())
        return
    from lesions.commands.study.report import write_report
    from lesions.commands.study.run import run
    from lesions.commands.study.study import read_study

    study, on_cluster = read_study(arguments.name), arguments.cluster is not None
    if on_cluster and arguments.source_folder:
        raise UserError(
            "--source-folder names a folder of this machine, which workers do not have. Name it in params.yaml instead "
            "(download.source: folder), `dvc repro`, commit, and share that: workers then pull its images."
        )
    if arguments.dry:
        planned = plan(study, arguments.source_folder, on_cluster=on_cluster)
        print(progress(study, planned))
        if not on_cluster:  # workers run them in clones
            print("", *(shlex.join(one.command()) for one in planned if one.is_due), "dvc queue start", sep="\n")
        return
    again, stopped = f"lesions study {study.name}{' --cluster ' + arguments.cluster if on_cluster else ''}", ""
    try:
        if failed := run(study, arguments.source_folder, arguments.cluster or ""):
            stopped = f"{', '.join(failed)} failed; the others ran. `{again}` tries again."
    except KeyboardInterrupt:
        stopped = f"Interrupted. `{again}` goes on from here; what is done is kept."
    planned = plan(study, arguments.source_folder, on_cluster=on_cluster)
    print("", progress(study, planned), sep="\n")
    if any(one.commit for one in planned):
        print(f"The report: {write_report(study, planned, arguments.report)}")
    if stopped:
        sys.exit(f"ERROR: {stopped}")


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that runs a model."""
    command.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="the model's folder")
    command.add_argument(
        "--sensitivity",
        type=int,
        choices=[80, 90, 95],
        default=90,
        help="the alert threshold: this sensitivity for melanoma on validation, in per cent; 90 without it",
    )


def add_classify(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lesions classify`."""
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a file, a folder, or - for standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_const", dest="form", const="csv", help="print a table for a spreadsheet")
    form.add_argument("--json", action="store_const", dest="form", const="json", help="print JSON for a program")
    parser.add_argument("--heatmap", type=Path, metavar="DIR", help="write each image beside its heat map there")
    parser.add_argument("--age", default="", metavar="YEARS", help="of the patient, where the model uses it")
    parser.add_argument("--sex", default="", help="female or male, likewise")
    parser.add_argument("--site", default="", help="of the lesion, likewise: back, face, lower extremity, ...")
    add_model(parser)
    parser.set_defaults(form="table")


def classify_images(arguments: argparse.Namespace) -> None:
    """Print the diagnoses of images; exit with 1 where an image has none."""
    from lesions.commands.classify.inputs import find

    images = find(arguments.images)
    from lesions.commands.classify.run import classify

    metadata = {field: getattr(arguments, field) for field in ("age", "sex", "site")}
    if not classify(images, arguments.models, arguments.form, arguments.heatmap, arguments.sensitivity, metadata):
        sys.exit(1)


def add_page(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lesions page`."""
    parser.add_argument("--port", type=int, default=8765, help="8765 without it; 0 takes any that is free")
    add_model(parser)


def serve_page(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    from lesions.commands.page.server import serve

    serve(arguments.models, arguments.sensitivity, arguments.port)


def add_validate(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lesions validate`."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="its images and diagnoses")
    parser.add_argument(
        "--class",
        action="append",
        default=[],
        dest="mapping",
        metavar="THEIRS=OURS",
        help="the model's class of a diagnosis with another name; may be given several times",
    )
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="the model's folder")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data"),
        metavar="DIR",
        help="what the model was trained on, to leave that out",
    )
    parser.add_argument("--out", type=Path, default=Path("reports/validation"), metavar="DIR", help="for the report")
    parser.add_argument("--resamples", type=int, help="of the bootstrap; without it, evaluate.n_bootstrap")


def validate_model(arguments: argparse.Namespace) -> None:
    """Evaluate a model on another collection, write a report, and print the headline."""
    from lesions.commands.validate.validate import Request, validate

    names = ("folder", "models", "mapping", "data", "out", "resamples")
    print(validate(Request(**{name: getattr(arguments, name) for name in names})))


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add the options of `lesions export`."""
    parser.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="the model's folder")
    parser.add_argument("--out", type=Path, default=Path("exported"), metavar="DIR", help="without it, exported")


def export_model(arguments: argparse.Namespace) -> None:
    """Write the model's ONNX and LiteRT files."""
    with needs_extra("export"):
        from lesions.commands.export.export import export

    export(arguments.models, arguments.out)


COMMANDS = {
    "check": Command("say what is wrong in params.yaml, without running anything", no_options, check_params),
    "sources": Command("list where images can come from, and what of it is already here", no_options, print_sources),
    "preset": Command("put a data set's recipe or a published system into params.yaml", add_preset, use_preset),
    "compare": Command("say how two experiments differ, and whether by chance", add_compare, compare_experiments),
    "study": Command("run what is missing of a list of experiments, and report on them", add_study, run_study),
    "classify": Command("classify images, with an alert for melanoma", add_classify, classify_images),
    "page": Command("serve a local web page on which images are dropped", add_page, serve_page),
    "validate": Command("evaluate a model on another collection", add_validate, validate_model),
    "export": Command("write a model as ONNX and LiteRT files, for other programs", add_export, export_model),
}
