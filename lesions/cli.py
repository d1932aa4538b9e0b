"""The command `lesions`: each subcommand's options, and below them what it runs.

What takes long to import is imported by the subcommand that needs it.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TypeAlias

from lesions.commands.presets import apply_preset, list_presets, set_param
from lesions.commands.sources import list_sources
from lesions.core.errors import UserError
from lesions.params.all import check_all

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main() -> None:
    """Run one of the subcommands; exit with 1 on an error that the person can mend."""
    parser = argparse.ArgumentParser(prog="lesions", description="Classifiers of dermoscopy pictures.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for define in (
        define_check,
        define_sources,
        define_preset,
        define_compare,
        define_study,
        define_classify,
        define_page,
        define_validate,
        define_export,
        define_store,
    ):
        define(commands)
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


def define_check(commands: Commands) -> None:
    """`lesions check`."""
    check = commands.add_parser("check", help="say what is wrong in params.yaml, without running anything")
    check.set_defaults(run=lambda _: check_params())


def check_params() -> None:
    """Check params.yaml in the current folder."""
    check_all()
    print("params.yaml holds what the stages expect.")


def define_sources(commands: Commands) -> None:
    """`lesions sources`."""
    sources = commands.add_parser("sources", help="list where pictures can come from, and what of it is already here")
    sources.set_defaults(run=lambda _: print_sources())


def print_sources() -> None:
    """List the sources, and what of each lies in data/downloads of the current folder."""
    print(list_sources())


def define_preset(commands: Commands) -> None:
    """`lesions preset`."""
    preset = commands.add_parser("preset", help="put a data set's recipe or a published system into params.yaml")
    preset.add_argument("name", nargs="?", help="without it, list them")
    preset.add_argument("--set-param", action="store_true", help="print it as options of `dvc exp run` instead")
    preset.set_defaults(run=use_preset)


def use_preset(arguments: argparse.Namespace) -> None:
    """Apply a preset to params.yaml in the current folder and show the change, or list all."""
    if arguments.name is None:
        print(list_presets())
    elif arguments.set_param:
        print(set_param(arguments.name))
    else:
        print(apply_preset(arguments.name).rstrip() or f"params.yaml holds the preset {arguments.name} already.")


def define_compare(commands: Commands) -> None:
    """`lesions compare`."""
    compare = commands.add_parser("compare", help="say how two experiments differ, and whether by chance")
    compare.add_argument("first", help="an experiment's name, or any Git revision")
    compare.add_argument("second", nargs="?", default="workspace", help="without it, the files as they are")
    compare.add_argument("--side", choices=["val", "test"], default="val", help="val, to choose by; test, to report")
    compare.add_argument("--resamples", type=int, help="of the bootstrap; without it, evaluate.resamples")
    compare.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write it for a pull request, with pictures beside the file"
    )
    compare.set_defaults(run=compare_experiments)


def compare_experiments(arguments: argparse.Namespace) -> None:
    """Print how two experiments differ, and write it where that is asked for."""
    from lesions.commands.compare.compare import as_text, compare

    comparison = compare(arguments.first, arguments.second, arguments.side, arguments.resamples)
    print(as_text(comparison))
    if arguments.markdown:
        from lesions.commands.compare.page import write_page

        print(f"\nWritten: {', '.join(map(str, write_page(comparison, arguments.markdown)))}")


def define_study(commands: Commands) -> None:
    """`lesions study`."""
    study = commands.add_parser("study", help="run what is missing of a list of experiments, and report on them")
    study.add_argument("name", nargs="?", help="of a file in studies/; without it, list them, and what is done")
    study.add_argument("--dry", action="store_true", help="say what would run, and run nothing")
    study.add_argument(
        "--source-folder", type=Path, metavar="DIR", help="read the pictures there instead of fetching a published set"
    )
    study.add_argument("--report", type=Path, metavar="FILE", help="where the report goes; else where the study says")
    study.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run them on the workers of the Dask scheduler there, as in tcp://host:8786: docs/cluster.md",
    )
    study.set_defaults(run=run_study)


def run_study(arguments: argparse.Namespace) -> None:
    """Run a study, or say how far all are; exit with 1 where an experiment failed, or on Ctrl-C."""
    from lesions.commands.study import running

    if arguments.name is None:
        print(running.all_progress())
        return
    from lesions.commands.study.report import write_report
    from lesions.commands.study.study import read_study

    study, shared = read_study(arguments.name), arguments.cluster is not None
    if shared and arguments.source_folder:
        raise UserError(
            "--source-folder names a folder of this machine, which workers do not have. Name it in params.yaml instead "
            "(download.source: folder), `dvc repro`, commit, and share that: workers then pull its pictures."
        )
    if arguments.dry:
        planned = running.plan(study, arguments.source_folder, shared=shared)
        print(running.progress(study, planned))
        if not shared:  # workers run them in clones
            due = [one for one in planned if one.commit is None and not one.without]
            print("", *(shlex.join(running.command(one)) for one in due), sep="\n")
        return
    again, stopped = f"lesions study {study.name}{' --cluster ' + arguments.cluster if shared else ''}", ""
    try:
        if shared:
            from lesions.commands.study import on_cluster

            failed = on_cluster.run(study, arguments.cluster)
        else:
            failed = running.run(study, arguments.source_folder)
        if failed:
            stopped = f"{', '.join(failed)} failed; the others ran. `{again}` tries again."
    except KeyboardInterrupt:
        stopped = f"Interrupted. `{again}` goes on from here; what is done is kept."
    planned = running.plan(study, arguments.source_folder, shared=shared)
    print("", running.progress(study, planned), sep="\n")
    if any(one.commit for one in planned):
        print(f"The report: {write_report(study, planned, arguments.report)}")
    if stopped:
        sys.exit(f"ERROR: {stopped}")


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the options of every command that asks a model."""
    command.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="the model's folder")
    command.add_argument(
        "--sensitivity",
        type=int,
        choices=[80, 90, 95],
        default=90,
        help="an alert is given where this many per cent of melanomas, on validation, were found; 90 without it",
    )


def define_classify(commands: Commands) -> None:
    """`lesions classify`."""
    classify = commands.add_parser("classify", help="say what pictures show, with an alert for melanoma")
    classify.add_argument("pictures", nargs="+", metavar="PICTURE", help="a file, a folder, or - for standard input")
    form = classify.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_const", dest="form", const="csv", help="print a table for a spreadsheet")
    form.add_argument("--json", action="store_const", dest="form", const="json", help="print JSON for a program")
    classify.add_argument("--heatmap", type=Path, metavar="DIR", help="write each picture beside its heat map there")
    classify.add_argument("--age", default="", metavar="YEARS", help="of the patient, where the model weighs it")
    classify.add_argument("--sex", default="", help="female or male, likewise")
    classify.add_argument("--site", default="", help="of the lesion, likewise: back, face, lower extremity, ...")
    add_model(classify)
    classify.set_defaults(run=classify_pictures, form="table")


def classify_pictures(arguments: argparse.Namespace) -> None:
    """Print what the model says of pictures; exit with 1 if of some it could not."""
    from lesions.commands.classify.inputs import find

    pictures = find(arguments.pictures)
    from lesions.commands.classify.run import classify

    patient = {field: getattr(arguments, field) for field in ("age", "sex", "site")}
    if not classify(pictures, arguments.models, arguments.form, arguments.heatmap, arguments.sensitivity, patient):
        sys.exit(1)


def define_page(commands: Commands) -> None:
    """`lesions page`."""
    page = commands.add_parser("page", help="serve a local web page on which pictures are dropped")
    page.add_argument("--port", type=int, default=8765, help="8765 without it; 0 takes any that is free")
    page.add_argument("--host", default="127.0.0.1", help="an address of this computer; without it, others get nothing")
    add_model(page)
    page.set_defaults(run=serve_page)


def serve_page(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    from lesions.commands.page.server import serve

    serve(arguments.models, arguments.sensitivity, arguments.host, arguments.port)


def define_validate(commands: Commands) -> None:
    """`lesions validate`."""
    validate = commands.add_parser("validate", help="judge a model on another collection")
    validate.add_argument("folder", type=Path, metavar="FOLDER", help="its pictures and diagnoses")
    validate.add_argument(
        "--class",
        action="append",
        default=[],
        dest="mapping",
        metavar="THEIRS=OURS",
        help="the model's class of a diagnosis with another name; may be given several times",
    )
    validate.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="the model's folder")
    validate.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="what the model was made from, to leave that out"
    )
    validate.add_argument("--out", type=Path, default=Path("reports/validation"), metavar="DIR", help="for the report")
    validate.add_argument("--resamples", type=int, help="of the bootstrap; without it, evaluate.resamples")
    validate.set_defaults(run=validate_model)


def validate_model(arguments: argparse.Namespace) -> None:
    """Judge a model on another collection, write a report, and print the headline."""
    from lesions.commands.validate.validate import Request, validate

    names = ("folder", "models", "mapping", "data", "out", "resamples")
    print(validate(Request(**{name: getattr(arguments, name) for name in names})))


def define_export(commands: Commands) -> None:
    """`lesions export`."""
    export = commands.add_parser("export", help="write a model as ONNX and LiteRT files, for other programs")
    export.add_argument("--models", type=Path, default=Path("models"), metavar="DIR", help="the model's folder")
    export.add_argument("--out", type=Path, default=Path("exported"), metavar="DIR", help="without it, exported")
    export.add_argument("--int8", action="store_true", help="also a smaller LiteRT file, and say what it loses")
    export.set_defaults(run=export_model)


def export_model(arguments: argparse.Namespace) -> None:
    """Write the model's ONNX and LiteRT files."""
    from lesions.commands.export.export import export

    export(arguments.models, arguments.out, Path("data"), int8=arguments.int8)


def define_store(commands: Commands) -> None:
    """`lesions check-store`."""
    store = commands.add_parser("check-store", help="remove from the team's DVC remote what is not what it says it is")
    store.add_argument("--remote", help="its name; without it, the default one")
    store.add_argument("--everything", action="store_true", help="read all of it, not just what a pull failed to bring")
    store.set_defaults(run=check_store)


def check_store(arguments: argparse.Namespace) -> None:
    """Print which objects of a remote are spoiled, and remove them."""
    from lesions.commands.store import check_store

    print(check_store(arguments.remote, arguments.everything))
