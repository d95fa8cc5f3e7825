"""The contact sheet of a job: one HTML page with small pictures of a sample; under the pointer each turns gray."""

import base64
import html
from collections.abc import Iterable

from photo.decoding import decode_photo
from photo.encoding import encode_photo
from photo.errors import fault_of_photo
from photo.geometry import resize
from serving.batch.file_systems import open_file
from serving.batch.outcomes import Outcome
from serving.batch.outputs import join

_SIDE = 240  # of a picture's longer side, in pixels
_QUALITY = 80

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fafafa }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax({side}px, 1fr)); gap: 1.2em }}
figure {{ margin: 0 }}
img {{ max-width: 100%; display: block }}
img:hover {{ filter: grayscale(1) }}
figcaption {{ overflow-wrap: anywhere; color: #666; font-size: 12px }}
</style>
<h1>{title}</h1>
<p>{count} of the photographs, a random sample. Under the pointer a picture shows the lightness it was made from.</p>
<main>
{figures}
</main></html>
"""


def contact_sheet(sample: Iterable[Outcome], output: str) -> str:
    """Return the page; what cannot be read any more is left out.

    Args:
        sample: outcomes with an output.
        output: where the job has written.
    """
    figures = [figure for outcome in sample if (figure := _figure(outcome, output))]
    return _PAGE.format(
        title=html.escape(f"Coloured into {output}"), count=len(figures), side=_SIDE, figures="\n".join(figures)
    )


def _figure(outcome: Outcome, output: str) -> str | None:
    try:
        with open_file(join(output, outcome.output)) as file:
            rgb = decode_photo(file.read()).rgb
        scale = min(1.0, _SIDE / max(rgb.shape[:2]))
        height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
        small = encode_photo(resize(rgb, height, width), "JPEG", quality=_QUALITY)
    except OSError:  # it has gone meanwhile
        return None
    except Exception as error:  # the job does not fail for its sample
        fault_of_photo(error)
        return None
    name = html.escape(outcome.output)
    return (
        f'<figure><img alt="" width="{width}" height="{height}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(small).decode()}">'
        f"<figcaption>{name}<br>{outcome.width} &times; {outcome.height}</figcaption></figure>"
    )
