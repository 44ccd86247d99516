"""The work of `ecg-trainer denoise`: pictures of any size through a denoiser, in tiles that fit into memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import numpy as np
import torch

from monitor.errors import RefusedError
from trainer import destination
from trainer.denoiser import artifact, png
from trainer.denoiser.network import REACH, apply

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from trainer.denoiser.png import Picture

TILE = 512


def denoise_files(model_file: Path, files: Sequence[Path], out: Path) -> None:
    """Denoise each file into the folder `out`, under its own name. `out` never has an incomplete picture.

    Raises RefusedError if the model, a picture or the folder cannot be used. The pictures before a bad one are written.
    """
    torch.set_num_threads(1)
    model = artifact.load(model_file)
    _refuse_clashes(files, out)
    destination.probe(*(out / file.name for file in files))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedError(f"{out}: the folder cannot be made: {error.strerror}") from error
    for file in files:
        picture = png.read(file)
        png.write(out / file.name, denoised(model.network, model.manifest.network.channels, picture))
        note = f" ({'; '.join(picture.notes)})" if picture.notes else ""
        click.echo(f"wrote {out / file.name}{note}")


def denoised(network: nn.Module, channels: int, picture: Picture) -> Picture:
    """The denoised picture; `picture.alpha` is kept. `channels` is the number of channels that the network takes.

    A grey network denoises the channels of a colour picture one by one. A colour network gets a grey picture as three
    equal channels, and the result is the mean of its three outputs. Each tile is denoised with REACH pixels around
    it. No output pixel depends on pixels further away, so no seams are visible.
    """
    result = np.empty_like(picture.values)
    height, width = picture.values.shape[:2]
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            y, x = max(0, top - REACH), max(0, left - REACH)
            around = picture.values[y : top + TILE + REACH, x : left + TILE + REACH]
            clean = _tile(network, channels, around.astype(np.float32) / np.float32(picture.top))
            tile = clean[top - y : top - y + TILE, left - x : left - x + TILE]
            result[top : top + TILE, left : left + TILE] = np.rint(tile * picture.top)
    return replace(picture, values=result)


def _tile(network: nn.Module, channels: int, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The denoised values (h, w, c) of a tile (h, w, c) with values in [0, 1]."""
    planes = torch.from_numpy(values).permute(2, 0, 1)
    if channels == 1:
        clean = apply(network, planes[:, None])[:, 0]
    else:
        clean = apply(network, planes.expand(channels, -1, -1)[None])[0]
    if len(planes) < len(clean):
        clean = clean.mean(0, keepdim=True)
    return clean.permute(1, 2, 0).numpy()


def _refuse_clashes(files: Sequence[Path], out: Path) -> None:
    """Raises RefusedError if a picture would overwrite another one or a file that exists."""
    name, count = Counter(file.name for file in files).most_common(1)[0]
    if count > 1:
        raise RefusedError(f"{count} pictures are called {name}: write them into different folders")
    for file in files:
        if _exists(out / file.name):
            raise RefusedError(f"{out / file.name} already exists: give another --out, or move the file away")


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError as error:
        raise RefusedError(f"{file}: cannot be accessed: {error.strerror}") from error
