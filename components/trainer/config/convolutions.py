"""`network.*.convolutions` and the like: one convolution of a list."""

from pydantic import Field

from components.trainer.config.section import Filters, Section


class ConvolutionConfig(Section):
    """One convolution of a list."""

    filters: Filters = Field(description="channels that it gives")
    kernel_size: int = Field(ge=1, description="side of the kernel")
    stride: int = Field(default=1, ge=1, description="pixels between two places; 2 halves the sides")
    pool: bool = Field(default=False, description="halve the sides afterwards by taking maxima")
