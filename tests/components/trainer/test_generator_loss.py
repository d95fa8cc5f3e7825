import numpy as np
import pytest

from components.trainer.config import LossConfig
from components.trainer.generator_loss import JudgedBatch, generator_terms
from components.trainer.network_range import NetworkRange
from pipeline.config import load_config

NAMES = ["reconstruction_loss", "adversarial_loss", "absolute_error", "colorfulness_loss", "color_repulsion"]


def terms_of(**fields):
    return {
        term.name: term for term in generator_terms(LossConfig(**fields), NetworkRange(load_config("demo").network))
    }


def test_every_term_has_the_weight_that_the_config_says():
    weights = dict(
        zip(
            ("reconstruction", "adversarial", "absolute_error", "colorfulness", "color_repulsion"),
            (5.0, 4.0, 3.0, 2.0, 1.0),
            strict=True,
        )
    )
    terms = terms_of(**{f"{name}_weight": weight for name, weight in weights.items()})
    assert {name: term.weight for name, term in terms.items()} == dict(zip(NAMES, weights.values(), strict=True))


@pytest.mark.parametrize(
    ("fields", "adversarial", "computed"),
    [
        ({}, True, ["reconstruction_loss", "adversarial_loss"]),
        ({}, False, ["reconstruction_loss"]),
        ({"reconstruction_weight": 0.0}, True, ["reconstruction_loss", "adversarial_loss"]),
        ({"colorfulness_weight": 0.1}, False, ["reconstruction_loss", "colorfulness_loss"]),
    ],
)
def test_a_term_without_weight_is_not_computed_but_the_reconstruction_is_read_always(fields, adversarial, computed):
    terms = terms_of(**fields).values()
    assert [term.name for term in terms if term.counts(adversarial=adversarial)] == computed


def test_each_term_gives_one_value_per_photo():
    draws = np.random.default_rng(0)
    true, predicted = (draws.uniform(-1, 1, (3, 8, 8, 2)).astype(np.float32) for _ in range(2))
    batch = JudgedBatch(true, predicted, draws.normal(size=(3, 2, 2, 1)).astype(np.float32))
    assert {name: term.value(batch).shape for name, term in terms_of().items()} == dict.fromkeys(NAMES, (3,))
