"""How the weights of a new network are drawn: by one seed."""

import keras

from components.trainer.config import NetworkConfig


class InitialWeights:
    """Initialisers and seeds, each different from the last and all decided by one seed."""

    def __init__(self, network: NetworkConfig, seed: int):
        self._stddev = network.initializer_stddev
        self._next = seed * 1000

    def seed(self) -> int:
        """A number that was not given before."""
        self._next += 1
        return self._next

    def kernel(self) -> keras.initializers.Initializer:
        """The initialiser of the next kernel."""
        if self._stddev is None:
            return keras.initializers.GlorotUniform(seed=self.seed())
        return keras.initializers.RandomNormal(stddev=self._stddev, seed=self.seed())
