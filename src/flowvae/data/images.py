"""Images: a folder of PNG or JPEG files to one array, channels first."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from flowvae.errors import InputError

ENDINGS = (".png", ".jpg", ".jpeg")
OTHERS = (".avif", ".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp")
"""Endings of images that are not read: beside those that are, they would be missed in silence."""

# Modes of Pillow by what they are read as without loss: grey or RGB.
READ_AS = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB"}


def read_images(folder: Path, size: int = 0) -> tuple[np.ndarray, tuple[str, ...]]:
    """The PNG and JPEG files of ``folder``, as uint8 (N, 1, H, W) where grey, (N, 3, H, W) where RGB, and their names.

    A photograph is turned as it says that it is to be shown.
    With ``size`` they may be of any size: the middle square of each is averaged over boxes to ``size`` x ``size``.
    Raises `InputError` for a folder without any, for images in it that are not read, as those of folders in it, and
    names the first file that cannot be read or differs from the first in size or mode.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not paths:
        held = ", ".join(sorted(path.name for path in folder.iterdir())[:3]) or "nothing"
        raise InputError(
            f"expected .png or .jpg files in the folder {folder.name!r}; got {held}: check the path, or convert them"
        )
    if left := sorted(path for path in folder.iterdir() if _is_left_out(path)):
        got = f"the folder {left[0].name!r} of images" if left[0].is_dir() else repr(left[0].name)
        raise InputError(
            f"expected .png or .jpg files alone in the folder {folder.name!r}; got {got} beside them: bring its images "
            "among them as .png, or move it elsewhere"
        )
    first = _read(paths[0], size)
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for place, path in enumerate(paths):
        image = _read(path, size)
        if image.shape != first.shape:
            resized = "convert it, or set data.size (of 'flowvae check': --size)"
            remedy = resized if image.ndim == first.ndim else "convert it to the same colours"
            raise InputError(
                f"expected images like {paths[0].name}, {_describe(first)}; "
                f"got {path.name}, {_describe(image)}: {remedy}"
            )
        images[place] = image
    names = tuple(path.name for path in paths)
    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(np.moveaxis(images, 3, 1)), names


def channels_first(values: np.ndarray) -> np.ndarray:
    """Grey images (N, H, W) to (N, 1, H, W), and (N, H, W, C) with C = 1 or 3 to (N, C, H, W)."""
    if values.ndim == 3:
        return values[:, None]
    if values.ndim == 4 and values.shape[3] in (1, 3) and values.shape[1] not in (1, 3):
        return np.ascontiguousarray(np.moveaxis(values, 3, 1))
    return values


def _is_left_out(path: Path) -> bool:
    """Whether there are images in ``path`` that are not read: in another format, or a folder deeper."""
    if path.is_dir() and not path.name.startswith("."):
        return any(inner.suffix.lower() in (*ENDINGS, *OTHERS) for inner in path.iterdir())
    return path.suffix.lower() in OTHERS


def _read(path: Path, size: int) -> np.ndarray:
    """One image, (H, W) or (H, W, 3)."""
    try:
        with Image.open(path) as image:
            if image.mode not in READ_AS or "transparency" in image.info:
                kind = f"{image.mode} with transparency" if image.mode in READ_AS else image.mode
                raise InputError(f"expected 8-bit grey or RGB images; got {path.name}, which is {kind}: convert it")
            read = ImageOps.exif_transpose(image).convert(READ_AS[image.mode])
            return np.asarray(_squared(read, size) if size else read)
    except Image.DecompressionBombError:
        raise InputError(
            f"expected a PNG or JPEG image; got {path.name}, which has too many pixels to be opened: scale it down, or "
            "take it out"
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError):  # the last is Pillow's for a broken chunk
        raise InputError(
            f"expected a PNG or JPEG image; got {path.name}, which cannot be read: write it again, or take it out"
        ) from None


def _squared(image: Image.Image, size: int) -> Image.Image:
    """The middle square of an image as ``size`` x ``size`` pixels."""
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.resize((size, size), Image.Resampling.BOX, box=(left, top, left + side, top + side))


def _describe(image: np.ndarray) -> str:
    height, width = image.shape[:2]
    return f"{width} x {height} {'RGB' if image.ndim == 3 else 'grey'}"
