"""What time and old processes do to the gray of a photograph, rendered on a photograph in colour."""

from photo.aging.aged_gray import EFFECTS, HIDING, AgedGray, age

__all__ = ["EFFECTS", "HIDING", "AgedGray", "age"]
