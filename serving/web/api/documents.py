"""What the API takes and answers as JSON."""

from typing import Literal

from pydantic import BaseModel, Field

from photo.hints import LARGEST_RADIUS, Hint
from photo.limits import MAX_PAGES
from photo.palette import MOST_SATURATION, MOST_STRENGTH, Look
from photo.reference_text import LONGEST_REFERENCE
from serving.web.jobs import PhotoState
from serving.web.problems import ProblemDocument


class HintDocument(BaseModel, extra="forbid"):
    """The colour that a place of a photo is to have."""

    x: float = Field(description="Share of the upright photo's width.", ge=0, le=1, allow_inf_nan=False)
    y: float = Field(description="Share of its height.", ge=0, le=1, allow_inf_nan=False)
    color: str = Field(description="As #rrggbb; the lightness stays the photo's own.", pattern="^#[0-9a-fA-F]{6}$")
    radius: float = Field(
        0.0, description="Of a disc, as a share of the longer side.", ge=0, le=LARGEST_RADIUS, allow_inf_nan=False
    )
    page: int | None = Field(
        None, description="Of a TIFF the page that it is for, from 1; null is the first.", ge=1, le=MAX_PAGES
    )

    def hint(self) -> Hint:
        """Return it as the client takes it."""
        return Hint(self.x, self.y, self.color, self.radius, self.page)


class LikelyColorDocument(BaseModel):
    """A colour that a place of a photo may have."""

    color: str = Field(description="As #rrggbb, at the photo's own lightness.")
    share: float = Field(description="Of the model's distribution of colours there.")


class ReferenceDocument(BaseModel):
    """The colours of a photo, for others to take."""

    reference: str = Field(description="About a thousand letters and digits.")


class JobPhotoDocument(BaseModel):
    """One photo of a job."""

    number: int = Field(description="Names it within the job.", ge=0)
    name: str = Field(description="The file's name as it was sent, made harmless.")
    state: PhotoState
    format: str | None = Field(description="Of the file that was sent; null before it was looked at.")
    width: int | None = Field(description="In pixels, of the upright photo; null before it is coloured.")
    height: int | None = Field(description="In pixels.")
    pages: int = Field(description="How many are coloured: of a TIFF all, unless one was asked for.")
    in_color: bool = Field(description="Whether it had colour already.")
    color_photos: Literal["recolor", "skip"] = Field(description="What is done with it if it had.")
    notes: list[str] = Field(
        description="What is to be known of the result in the photo's own format: what of the file is not coloured, "
        "colours that were replaced, what the format cannot hold."
    )
    notes_by_format: dict[str, list[str]] = Field(description="The same of a result in another format.")
    variants: int = Field(description="How many colourings there are; fewer than wanted where they are alike.")
    variant: int = Field(description="The one that was chosen, from 0.")
    strength: float = Field(description="The strength of the colour that was chosen.")
    look: Look = Field(description="The look that was chosen.")
    warmth: float = Field(description="The warmth of the light that was chosen.")
    saturation: float = Field(description="The factor on the model's colours that was chosen.")
    reference: str = Field(description="The colours of another photo that were chosen; empty for none.")
    hints: list[HintDocument] = Field(description="Colours that were asked for.")
    problem: ProblemDocument | None = Field(description="Why it failed.")


class JobDocument(BaseModel):
    """A job and its photos."""

    id: str = Field(description="Cannot be guessed: who knows it may see the photos.")
    state: Literal["working", "done"] = Field(description="done: every photo is done or has failed.")
    expires_in: int = Field(description="Seconds until it is deleted, if nobody asks for it.", ge=0)
    further_jobs: list[str] = Field(description="With the photos of a ZIP that are too many for one job.")
    photos: list[JobPhotoDocument]


class ChoiceDocument(BaseModel, extra="forbid"):
    """What was chosen for a photo."""

    variant: int | None = Field(None, description="Which of the colourings, from 0.", ge=0, strict=True)
    strength: float | None = Field(
        None, description="Factor on the colour: 0 gray, 1 as the model says.", ge=0, le=MOST_STRENGTH,
        allow_inf_nan=False, strict=True,
    )  # fmt: skip
    look: Look | None = Field(None, description="As a film or a time showed colours; light and shade stay.")
    warmth: float | None = Field(
        None, description="Of the light: above 0 warmer.", ge=-1, le=1, allow_inf_nan=False, strict=True
    )
    saturation: float | None = Field(
        None, description="Factor on the model's colours alone; tones of a look or of the light stay.", ge=0,
        le=MOST_SATURATION, allow_inf_nan=False, strict=True,
    )  # fmt: skip
    reference: str | None = Field(
        None, description="Colours of another photo, as `POST /api/reference-colors` gives them; empty for none.",
        max_length=LONGEST_REFERENCE,
    )  # fmt: skip


class LimitsDocument(BaseModel):
    """What is taken."""

    photo_bytes: int
    pixels: int
    photos: int = Field(description="In one job.")
    archive_bytes: int = Field(description="Of a ZIP.")
    variants: int


class AboutDocument(BaseModel):
    """What the gateway and its model are."""

    model: str | None = Field(description="The recipe the model was trained with; null while the server is away.")
    limits: LimitsDocument
    formats: list[str] = Field(description="Media types of photos that are taken.")
    keep_seconds: float = Field(description="How long a job stays after it was last asked for.")
    keep_after_download_seconds: float = Field(description="How long it stays once all its results were downloaded.")


class StatusDocument(BaseModel):
    """That all is well."""

    status: Literal["ok"] = "ok"
