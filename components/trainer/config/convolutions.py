"""`network.*.convolutions` and the like: one convolution of a list."""

from pydantic import Field

from components.trainer.config.section import Filters, Section


class ConvolutionConfig(Section):
    """One convolution of a list."""

    filters: Filters
    kernel_size: int = Field(ge=1)
    stride: int = Field(default=1, ge=1)
    pool: bool = Field(default=False, description="halve the sides afterwards by taking maxima")
