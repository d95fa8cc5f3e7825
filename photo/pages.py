"""Which pages of a file are coloured: all where the result holds pages, else one, and the others are counted."""

from dataclasses import dataclass, replace

from photo.coloring_options import ColoringOptions
from photo.decoding import read_header
from photo.errors import PhotoError
from photo.formats import PhotoFormat
from photo.hints import Hint


@dataclass(frozen=True)
class PagePlan:
    """The pages of a file that are to be coloured.

    Attributes:
        pages: from 0; more than one only of a TIFF whose result is a TIFF.
        count: how many the file has.
        note: in words, how many are not, and why; "" where none is left out, or one was asked for.
    """

    pages: range
    count: int = 1
    note: str = ""

    def notes(self, hints: tuple[Hint, ...] = ()) -> tuple[str, ...]:
        """Return what is to be said of the pages that are left out, and of the hints for them."""
        unused = sum(hint.page is not None and hint.page - 1 not in self.pages for hint in hints)
        many = f"{unused} hints are for pages that are" if unused > 1 else "1 hint is for a page that is"
        return tuple(filter(None, [self.note, f"{many} not coloured" if unused else ""]))

    def hints_of(self, page: int, hints: tuple[Hint, ...]) -> tuple[Hint, ...]:
        """Return the hints of one of the pages, from 0: those that name it, and of the first those that name none.

        Raises:
            PhotoError: with reason `wrong_hints`, where one names a page that the file does not have.
        """
        last = max((hint.page or 1 for hint in hints), default=1)
        if last > self.count:
            words = "one page" if self.count == 1 else f"{self.count} pages"
            raise PhotoError("wrong_hints", f"a hint is for page {last}, and the photograph has {words}")
        found = [hint for hint in hints if page == (self.pages[0] if hint.page is None else hint.page - 1)]
        return tuple(replace(hint, page=None) for hint in found)


def plan_pages(
    data: bytes, options: ColoringOptions, target: PhotoFormat | None = None, *, one_alone: str = "", max_pixels: int
) -> PagePlan:
    """Say which pages of a file are to be coloured.

    Args:
        data: the file's bytes.
        options: one page of them, where it is asked for.
        target: format of the result; None is the file's own.
        one_alone: what the result is, in words, where it can be of one page alone whatever its format.
        max_pixels: of all pages together.

    Raises:
        PhotoError: as `read_header`; also where the pages have too many pixels together.
    """
    chosen = options.page
    header = read_header(data, page=0 if chosen is None else chosen - 1, max_pixels=max_pixels)
    if chosen is not None:
        return PagePlan(range(chosen - 1, chosen), header.pages)
    if header.pages == 1:
        return PagePlan(range(1))
    target = target or options.format or header.format
    if one_alone or target is not PhotoFormat.TIFF:
        holder = one_alone or f"a {target}"
        return PagePlan(range(1), header.pages, one_page_note(header.pages, holder))
    if header.pixels_of_pages > max_pixels:
        raise PhotoError(
            "too_many_pixels",
            f"its {header.pages} pages have {header.pixels_of_pages:,} pixels together; at most {max_pixels:,} are "
            "accepted; colour them one by one",
        )
    return PagePlan(range(header.pages), header.pages)


def one_page_note(count: int, holder: str) -> str:
    """Return in words that of so many pages the first alone is coloured, because of what holds it, such as "a PNG"."""
    return f"{more_pages(count - 1)} not coloured, as {holder} is of one page"


def more_pages(count: int) -> str:
    """Return "2 more pages are"."""
    return f"{count} more pages are" if count > 1 else "1 more page is"
