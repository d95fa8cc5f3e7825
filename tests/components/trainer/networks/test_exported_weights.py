import pytest

from components.trainer.networks.build import build_generator
from components.trainer.networks.exported_weights import find_weight, path_now
from pipeline.config import load_config


@pytest.mark.parametrize(
    ("recipe", "earlier", "weight"),
    [
        ("unet_rgb_32", "stem/_kernel", "stem/convolution/kernel"),
        ("unet_rgb_32", "stem/bias", "stem/convolution/bias"),
        ("unet_rgb_32", "color/bias", "color/bias"),
        ("demo", "downs/2/_kernel", "down_2/convolution/kernel"),
        ("demo", "down_norms/2/beta", "down_2/norm/beta"),
        ("demo", "ups/1/kernel", "up_1/convolution/kernel"),
        ("tintype_lab", "down_norms/0/moving_mean", "down_0/norm/moving_mean"),
        ("tintype_lab", "blocks/3/1/_kernel", "down_3/block_0_1/kernel"),
        ("tintype_lab", "block_norms/3/0/gamma", "down_3/block_0_0_norm/gamma"),
        ("tintype_lab", "up_norms/0/moving_variance", "up_0/norm/moving_variance"),
        ("tintype_lab", "merges/2/_kernel", "up_2/merge/convolution/kernel"),
        ("tintype_lab", "merge_norms/2/beta", "up_2/merge/norm/beta"),
    ],
)
def test_the_weights_of_exports_from_before_the_blocks_are_found(recipe, earlier, weight):
    network = load_config(recipe, ["network.generator.spectral_norm_iterations=0"] if recipe == "demo" else []).network
    generator = build_generator(network, batch_norm_momentum=0.9, seed=0)
    assert find_weight(generator, path_now(earlier)).path == f"generator/{weight}"
    assert path_now(path_now(earlier)) == path_now(earlier)


def test_what_a_network_does_not_have_is_not_found():
    generator = build_generator(load_config("demo").network, batch_norm_momentum=0.9, seed=0)
    assert find_weight(generator, "downs/7/convolution/_kernel") is None
    assert find_weight(generator, "somewhere") is None
