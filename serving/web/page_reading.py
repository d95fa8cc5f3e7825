"""Reads the pages of a job's photograph, and says for every format what is to be known of a result in it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from photo.coloring_options import ColoringOptions
from photo.decoding import Rgb, decode_pages
from photo.encoding import ColoredPage, losses
from photo.formats import PhotoFormat
from photo.pages import PagePlan, one_page_note
from photo.tint import color_notes

RESULT_FORMATS = (PhotoFormat.JPEG, PhotoFormat.PNG, PhotoFormat.WEBP, PhotoFormat.TIFF)
"""What can be asked for; a photograph's own may be another one."""


class PageNotes(NamedTuple):
    """What is to be said of a page.

    Attributes:
        format: in which the photograph is written unless another one is asked for.
        read: how it was read, and that colours of its own were replaced.
        in_color: whether it had any.
        losses: by format, what a result does not hold of it.
    """

    format: PhotoFormat
    read: tuple[str, ...]
    in_color: bool
    losses: dict[PhotoFormat, tuple[str, ...]]


def read_pages(
    data: bytes, plan: PagePlan, options: ColoringOptions, *, max_pixels: int
) -> Iterator[tuple[Rgb, PageNotes]]:
    """Give one page after another: its pixels, [H, W, 3], and what is to be said of it.

    Args:
        data: the bytes of the photograph's file.
        plan: of its pages.
        options: whether one in colour is taken, and how results are encoded.
        max_pixels: larger ones are refused.

    Raises:
        PhotoError: when one cannot be used, with the reason `in_color` where it is to keep its colours.
    """
    for photo in decode_pages(data, plan.pages, max_pixels=max_pixels):
        of_color = color_notes(photo.color, options.color_photos)
        own, whole = photo.format.written_as, ColoredPage(photo.color, photo.metadata, photo.alpha)
        lost = {format: losses(whole, format, options) for format in dict.fromkeys((own, *RESULT_FORMATS))}
        read = photo.color, PageNotes(own, (*photo.notes, *of_color), bool(of_color), lost)
        del photo, whole
        yield read
        del read


def notes_by_format(pages: Sequence[PageNotes], of_all: tuple[str, ...]) -> dict[PhotoFormat, tuple[str, ...]]:
    """Return by format what is to be said of a result that has these pages, or the first where it holds one alone.

    Args:
        pages: notes of each.
        of_all: what is to be said in any format.
    """
    notes = {}
    for format, lost in pages[0].losses.items():
        if len(pages) == 1:
            found = [*pages[0].read, *lost]
        elif format is PhotoFormat.TIFF:
            found = [note for page in pages for note in page.read]
            found += [f"{note} (page {n})" for n, page in enumerate(pages, 1) for note in page.losses[format]]
        else:
            found = [one_page_note(len(pages), f"a {format}"), *pages[0].read, *lost]
        notes[format] = tuple(dict.fromkeys((*found, *of_all)))
    return notes
