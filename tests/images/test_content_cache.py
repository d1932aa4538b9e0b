"""What was made of an image's bytes is kept, and a damaged cache is worth nothing less than none."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lesions.images import content_cache
from lesions.images.content_cache import cached_map, open_cache

CONTENTS = [bytes([number]) * 100 for number in range(50)]
VALUE = np.dtype((np.uint8, (4,)))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def computed(contents: Sequence[bytes | ValueError], params: str = "") -> tuple[list[list[int]], int]:
    """Return the results, and how many of them were computed."""
    calls = []

    def compute(content: bytes | ValueError) -> np.ndarray:
        calls.append(content)
        return np.full(4, 255 if isinstance(content, ValueError) else content[0], np.uint8)

    with open_cache("test", VALUE, [], params) as cache:
        found: Iterator[np.ndarray] = cached_map(
            compute, iter(contents), len(contents), cache, lambda value: value, lambda _, value: value, desc="test"
        )
        return [value.tolist() for value in found], len(calls)


def test_known_images_are_not_computed_again() -> None:
    first, number = computed(CONTENTS[:40])
    assert number == 40
    again, number = computed(CONTENTS[::-1])
    assert number == 10
    assert again == [[content[0]] * 4 for content in CONTENTS[::-1]]
    assert first == again[:-41:-1][:40] or first == again[::-1][:40]
    assert computed([*CONTENTS, ValueError("damaged")])[1] == 1
    assert computed(CONTENTS, "other parameters")[1] == 50


@pytest.mark.parametrize("damage", ["cut", "changed", "emptied", "more"])
def test_damaged_cache_changes_no_result(damage: str, project: Path) -> None:
    expected, _ = computed(CONTENTS)
    file = next(path for path in (project / ".dvc/tmp/images").iterdir() if path.suffix != ".lock")
    content = file.read_bytes()
    changed = bytearray(content)
    changed[36::40] = bytes(byte ^ 1 for byte in changed[36::40])
    file.write_bytes({"cut": content[:-7], "changed": bytes(changed), "emptied": b"", "more": content + b"x"}[damage])
    assert computed(CONTENTS)[0] == expected
    assert computed(CONTENTS)[0] == expected


def test_no_more_than_the_limit_is_kept(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.setattr(content_cache, "MAX_BYTES", 400)
    computed(CONTENTS)
    sizes = [path.stat().st_size for path in (project / ".dvc/tmp/images").iterdir()]
    assert 0 < max(sizes) <= 400


def test_outside_a_project_nothing_is_kept(project: Path) -> None:
    (project / ".dvc").rmdir()
    computed(CONTENTS)
    assert not list(project.iterdir())


def test_folder_that_cannot_be_written_costs_nothing(project: Path) -> None:
    (project / ".dvc/tmp").write_text("in the way")
    assert computed(CONTENTS)[1] == 50
