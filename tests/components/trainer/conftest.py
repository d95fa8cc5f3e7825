import pytest

from tests.scene_examples import write_scene_examples


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """A folder of Examples: 24 rendered scenes to train on, 8 held out."""
    folder = tmp_path_factory.mktemp("examples")
    write_scene_examples(folder, split="train", count=24, first_seed=0)
    write_scene_examples(folder, split="eval", count=8, first_seed=100)
    return str(folder)
