"""`lesions study`: says how far all studies are, or runs one and writes its report."""

import argparse
import shlex
import sys

from lesions.commands.study.plan import all_progress, plan, progress
from lesions.commands.study.run import run
from lesions.commands.study.study import read_study
from lesions.core.errors import UserError


def run_study(arguments: argparse.Namespace) -> None:
    """Run a study, or say how far all are; exit with 1 where an experiment failed, or on Ctrl-C."""
    if arguments.name is None:
        print(all_progress())
        return
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
        from lesions.commands.study.report import write_report  # which loads what draws

        print(f"The report: {write_report(study, planned, arguments.report)}")
    if stopped:
        sys.exit(f"ERROR: {stopped}")
