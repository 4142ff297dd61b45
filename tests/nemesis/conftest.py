"""One broker and one desk for all the nemeses of a module; each run rides with helmets of its own."""

from collections.abc import Iterator

import pytest
from arena import Arena, arena


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with arena(tmp_path_factory.mktemp("arena")) as ring:
        yield ring


@pytest.fixture
def ring(shared: Arena) -> Iterator[Arena]:
    shared.configure()
    yield shared
    shared.kill_worker()
