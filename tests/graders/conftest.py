"""Each test judges its own pairs: what an earlier one decided is forgotten."""

import pytest

from graders import cache


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    cache.forget()
