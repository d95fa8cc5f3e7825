"""Networks with fewer levels, or narrower: all that they are made of, in a fraction of the time to trace."""

SMALL_NETWORKS = (
    "network.generator.down_filters=[16,32]",
    "network.generator.up_filters=[32]",
    "network.discriminator.down_filters=[16]",
    "network.discriminator.flat_filters=[]",
)
"""Of the recipe demo."""

SMALL_PRETRAINED = (
    "network.generator.encoder_width=0.1",
    "network.generator.encoder_depth=0.3",
    "network.generator.weights=random",
    "network.generator.decoder_filters=[8,8,8,8]",
    "network.generator.fine_filters=8",
    "data.size=64",
    "train.batch_size=4",
    "train.precision=float32",
    "train.kept_views=0",
)
"""Of the recipe tintype_pretrained: a narrow encoder that knows nothing, and a narrow decoder."""
