"""An array that lies in a file."""

import os

import numpy as np
import pytest

from lesions.audit.temporary_array import temporary_array


@pytest.mark.parametrize("reserves", [True, False])
def test_array_is_of_zeros_and_may_be_written(reserves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also on a Mac or Windows, which know no posix_fallocate."""
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
        monkeypatch.setattr("lesions.audit.temporary_array.BLOCK", 7)
    array = temporary_array((3, 5), np.uint16)
    assert array.shape == (3, 5)
    assert not array.any()
    array[1] = 8
    assert array.sum() == 40
