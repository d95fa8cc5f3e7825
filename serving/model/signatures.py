"""The names in a served model's contract: its signatures, what goes in and what comes out."""

COLORIZE = "serving_default"
"""`L` float32 [N, H, W, 1], 0..100 -> `ab` float32 [N, H, W, 2], CIE units; what a request without a name gets."""

COLORIZE_BYTES = "colorize_bytes"
"""`bytes`, encoded photographs, string [N] -> `bytes`, encoded colour JPEGs, string [N]."""

DESCRIBE = "describe"
"""`name`, string [N], ignored -> a row each of `serving.model.description.ModelDescription`."""

VARIANTS = "variants"
"""`L` and `seed`, int32 [N] -> `ab`; another seed, another plausible colouring. Only of recipes with dropout."""

LIGHTNESS = "L"
AB = "ab"
BYTES = "bytes"
NAME = "name"
SEED = "seed"
