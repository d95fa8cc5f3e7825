"""The names in a served model's contract: its signatures, what goes in and what comes out."""

COLORIZE = "serving_default"
"""`L` float32 [N, H, W, 1], 0..100 -> `ab` float32 [N, H, W, 2], CIE units; what a request without a name gets."""

COLORIZE_BYTES = "colorize_bytes"
"""`bytes`, encoded photographs, string [N] -> `image_bytes`, encoded colour JPEGs, string [N].

TensorFlow Serving's REST API encodes string outputs in base64 whose names end in `_bytes`. Models exported before
called theirs `bytes`.
"""

DESCRIBE = "describe"
"""`name`, string [N], ignored -> a row each of `serving.model.description.ModelDescription`."""

VARIANTS = "variants"
"""`L` and `seed`, int32 [N] -> `ab`; another seed, another plausible colouring. Only of recipes that vary."""

GUIDED = "guided"
"""`L` and `hints`, float32 [N, S, S, 3] (a*, b*, mask 0 or 1) -> `ab`, with an empty mask that of `serving_default`.

And `likely_colors`, float32 [N, S/4, S/4, 8, 2], a*b*, the likeliest first; `likely_shares`, float32 [N, S/4, S/4, 8],
of the distribution; `uncertainty`, float32 [N, S, S, 1], the square root of the distribution's total variance, in CIE
units. Only of recipes that were trained with hints.
"""

LIGHTNESS = "L"
AB = "ab"
BYTES = "bytes"
IMAGE_BYTES = "image_bytes"
HINTS = "hints"
LIKELY_COLORS = "likely_colors"
LIKELY_SHARES = "likely_shares"
UNCERTAINTY = "uncertainty"
NAME = "name"
SEED = "seed"

SMALL_OUTPUTS = (LIKELY_COLORS, LIKELY_SHARES)
"""Those of `guided` that have a row and a column for four of the photograph's."""
