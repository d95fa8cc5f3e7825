import numpy as np

from photo.decoding import decode_photo
from photo.encoding import encode_photo


def test_the_tint_of_a_toned_photo_is_removed_or_kept_as_asked(gateway):
    sepia = np.full((60, 80, 3), (150, 120, 90), np.uint8)
    answers = [
        gateway.client.post(f"/api/colorize?strength=0&keep_tint={kept}", content=encode_photo(sepia, "PNG"))
        for kept in ("false", "true")
    ]
    removed, kept = (decode_photo(answer.content).rgb for answer in answers)
    assert np.ptp(removed, axis=2).max() == 0
    np.testing.assert_array_equal(kept, sepia)
    assert gateway.client.post("/api/colorize?keep_tint=perhaps", content=b"x").status_code == 422
