"""The image manifold: every rotation of a picture (book: chapter 06, "A manifold of images")."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from lib.errors import InputError, positive, require
from lib.manifolds._curves import FourierCurve

_ANGLES = 512
_NEGLIGIBLE = 1e-13  # Fourier coefficients below this, relatively, are left out


def rotated(image: Any, angles: Any, blur: float = 1.0) -> Float64[np.ndarray, "P pixels"]:
    """A picture turned about its centre, as samples of a smooth function.

    The picture is read as a sum of Gaussians of standard deviation ``blur`` (in pixels), one at the
    centre of each pixel with its grey value as the weight; that function is rotated and sampled at
    the centres of the pixels.  So the result depends analytically on the angle.

    Parameters
    ----------
    image : float64 array, shape (H, W)
    angles : float64 array, shape (P,)
        In radians, counterclockwise.
    blur : float

    Returns
    -------
    float64 array, shape (P, H * W).
    """
    image = np.asarray(image, float)
    rows, columns = np.indices(image.shape)
    place = np.stack(
        [columns.ravel() - (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2 - rows.ravel()],
        axis=1,
    )
    lit = image.ravel() != 0
    result = np.empty((len(angles), image.size))
    for k, angle in enumerate(np.asarray(angles, float)):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        square = ((place[:, None] - place[lit] @ turn) ** 2).sum(2)
        result[k] = np.exp(-square / (2 * blur**2)) @ image.ravel()[lit]
    return result


def image_rotations(
    image: Any, blur: float = 1.0, name: str = "rotations of an image"
) -> FourierCurve:
    """The closed curve of all rotations of a picture in the cube of its pixels, ``d = 1``, ``D = H
    W``.

    `rotated` at 512 angles gives its Fourier coefficients; those below 1e-13 of the largest are
    left out, and what is left *is* the manifold: a trigonometric curve, with a lower bound of its
    reach (`reach_enclosure`).  Grey values are mapped affinely into [0.02, 0.98].

    Parameters
    ----------
    image : float64 array, shape (H, W)
    blur : float
        In pixels, at least 0.7: below, a pixel grid does not resolve the Gaussians.
    name : str

    Returns
    -------
    FourierCurve
        With parameter the angle, and ``curve.middle``, the mean picture.

    Raises
    ------
    InputError
        If the picture is not a finite array of two dimensions, or looks the same from all sides.
    """
    image = np.asarray(image, float)
    require(
        image.ndim == 2 and image.size > 1 and np.isfinite(image).all(),
        "image",
        image.shape,
        "a finite array (H, W)",
    )
    require(positive("blur", blur) >= 0.7, "blur", blur, "at least 0.7 pixels")
    pictures = rotated(image, np.arange(_ANGLES) / _ANGLES * 2 * np.pi, blur)
    low = pictures.min()
    high = pictures.max()
    require(high - low > 1e-9, "image", image.shape, "a picture that is not constant")
    pictures = 0.02 + 0.96 * (pictures - low) / (high - low)
    waves = np.fft.rfft(pictures, axis=0) / _ANGLES
    size = np.linalg.norm(waves, axis=1)
    require(size[1:].max() > 1e-6, "image", image.shape, "a picture that changes when it is turned")
    last = int(np.nonzero(size > _NEGLIGIBLE * size.max())[0][-1])
    require(last < _ANGLES // 2 - 8, "blur", blur, "larger: 512 angles do not resolve this picture")
    cosine, sine = 2 * waves[1 : last + 1].real, -2 * waves[1 : last + 1].imag
    # coordinates in the span of the coefficients: everything but the pixels themselves is
    # low-dimensional
    _, values, span = np.linalg.svd(np.concatenate([cosine, sine]), full_matrices=False)
    frame = span[values > 1e-15 * values[0]].T
    try:
        return FourierCurve(cosine @ frame, sine @ frame, waves[0].real, frame, name)
    except InputError as error:
        raise InputError(
            f"image = {image.shape}: must be a picture without rotational symmetry ({error})"
        ) from None
