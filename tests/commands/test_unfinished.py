"""A folder for files that are not whole yet."""

from pathlib import Path

import pytest

from lesions.commands.unfinished import unfinished


def test_nothing_is_left_by_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by one that comes once the folder is there, and before anybody knows of it."""
    folder, make = tmp_path / "new", Path.mkdir

    def interrupted(path: Path) -> None:
        make(path)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt), unfinished(folder):
        pass
    assert not folder.exists()


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/half").touch()
    with unfinished(tmp_path / "new") as folder:
        assert not list(folder.iterdir())
        (folder / "whole").touch()
    assert not (tmp_path / "new").exists()
