import logging

from photo.errors import PhotoError, TintypeError, fault_of_photo


def test_what_is_known_says_itself_and_nothing_is_logged(caplog):
    known = TintypeError("the disk is full")
    assert fault_of_photo(known) is known
    assert fault_of_photo(MemoryError()).reason == "out_of_memory"
    assert not caplog.records


def test_what_nobody_foresaw_is_named_by_its_kind_and_logged_with_its_traceback(caplog):
    caplog.set_level(logging.ERROR)
    met = KeyError("depth")
    fault = fault_of_photo(met)
    assert isinstance(fault, PhotoError)
    assert (fault.reason, str(fault)) == (
        "unexpected",
        "an unexpected error, which is no fault of yours: KeyError: 'depth'",
    )
    assert caplog.records[0].exc_info[1] is met
