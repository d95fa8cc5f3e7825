from inspect import ismodule

from serving import batch


def test_every_public_name_is_what_it_says_also_when_its_module_is_loaded() -> None:
    for name in batch.__all__:
        first = getattr(batch, name)
        assert getattr(batch, name) is first
        assert not ismodule(first)
