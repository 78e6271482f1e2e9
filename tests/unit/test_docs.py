"""The generated pages say what the code and the records say."""

import pytest

from docs import pages


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_generated_page_is_up_to_date(path):
    assert path.read_text() == pages()[path], "run `make docs`"
