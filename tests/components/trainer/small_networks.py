"""The demo's two networks with fewer levels: all that they are made of, in a fraction of the time to trace."""

SMALL_NETWORKS = (
    "network.generator.down_filters=[16,32]",
    "network.generator.up_filters=[32]",
    "network.discriminator.down_filters=[16]",
    "network.discriminator.flat_filters=[]",
)
