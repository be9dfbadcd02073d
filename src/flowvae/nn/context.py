"""The features that a net is given beside what it works on."""

from torch import Tensor

from flowvae.errors import InputError


def required(h: Tensor | None) -> Tensor:
    """The context h of a net that was built for one. Raises `InputError` where it is missing."""
    if h is None:
        raise InputError("expected features h, as the flow was built with a context; got None: give them")
    return h
