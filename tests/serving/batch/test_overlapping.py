"""Storage that answers late holds nothing up: photographs are read and written while others are coloured."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import IntervalWindow
from apache_beam.utils.timestamp import Timestamp

from serving.batch.overlapping import Overlap
from tests.serving.batch.conftest import write_photo
from tests.url_file_system import DRAWER, DrawerFileSystem


@pytest.mark.parametrize("method", ["open", "create"])
def test_several_files_are_on_their_way_at_once(colored, tmp_path, monkeypatch, method):
    for number in range(8):
        write_photo(tmp_path / "in" / f"{number}.jpg", number)
    together = threading.Barrier(4)
    as_it_was = getattr(DrawerFileSystem, method)

    photographs = iter(range(8))

    def slow(self, path, *args, **options):
        is_photograph = path.endswith((".jpg", ".part")) and ".tintype" not in path
        if is_photograph and next(photographs, None) is not None:  # reports come after the last
            together.wait(timeout=30)  # breaks, where one comes after the other
        return as_it_was(self, path, *args, **options)

    monkeypatch.setattr(DrawerFileSystem, method, slow)
    assert colored(f"{DRAWER}{tmp_path}/in", output=f"{DRAWER}{tmp_path}/out", sample=0).done == 8


def test_elements_come_in_order_with_the_window_and_time_of_their_own() -> None:
    overlap = Overlap(2)
    windows = [IntervalWindow(start, start + 10) for start in (0, 10, 20)]
    given = []
    with ThreadPoolExecutor(2) as threads:
        for number, window in enumerate(windows):
            element = TaggedOutput("odd", number) if number % 2 else number
            given += overlap.begin(threads, lambda element=element: element, window, Timestamp(number))
        given += overlap.rest()
    values = [each.value if isinstance(each, TaggedOutput) else each for each in given]
    assert [each.value for each in values] == [0, 1, 2]
    assert [each.windows for each in values] == [(window,) for window in windows]
    assert [each.timestamp for each in values] == [Timestamp(number) for number in range(3)]
    assert [isinstance(each, TaggedOutput) for each in given] == [False, True, False]


def test_what_a_call_raised_is_raised() -> None:
    overlap = Overlap(1)
    with ThreadPoolExecutor(1) as threads:
        list(overlap.begin(threads, lambda: 1 / 0, IntervalWindow(0, 1), Timestamp(0)))
        with pytest.raises(ZeroDivisionError):
            list(overlap.rest())
