"""Processes of `python -m stages.X`, `lesions` and `dvc` that begin, by a fork, with TensorFlow and the like loaded.

`server.py` has loaded them once, and nothing of `lesions` or `stages`, which may differ from clone to clone. Each
Python imports `sitecustomize.py` as it starts, where PYTHONPATH has this folder, and by that hands itself over. It goes
on by itself, as ever, where no server listens, and where anything differs that modules could read as they load:
environment variables, limits, the user. So does what has another PYTHONPATH, or no TESTS_FORK_SERVER: tests of signals,
missing modules and the time to start.

Results have the same bits. But all processes of a server hash strings alike, by one PYTHONHASHSEED.
"""
