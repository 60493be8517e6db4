"""What the tests of data sets share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory, smollm2_tokenizer) -> Path:
    """A folder with SmolLM2's tokenizer alone, which loads faster than the package's."""
    folder = tmp_path_factory.mktemp("tokenizer") / "smollm2"
    smollm2_tokenizer.save_pretrained(folder)
    return folder
