"""The steps of the pipeline, one file each, named as in dvc.yaml."""

import gc
import sys

from lesions.core.signals import end_at_once

if sys.argv[0] == "-m":  # `python -m stages.NAME`, whose modules are yet to load
    end_at_once()
    gc.disable()  # there is nothing to collect as they load; `run_stage` enables it again
