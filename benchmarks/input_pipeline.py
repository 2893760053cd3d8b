"""Images a second that the input pipeline of ``bnao evaluate --dataset imagenet`` gives, by worker processes.

    python benchmarks/input_pipeline.py [--workers 0 1 2 --data-dir DIR]

prints one JSON line. Without --data-dir the images are made: JPEGs of 500 x 375 pixels and about the 110 KB that
ImageNet's have on average. What a GPU needs is its images a second in training; the number of workers that feed it is
that number times ``core_seconds_per_1000_images`` / 1000, if there are so many cores.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import PIL
from arguments import folder, refusals, whole
from PIL import Image

from bnao.config.settings import DataConfig
from bnao.data.imagenet import stream_dataset
from bnao.streams import stream

PARTS = 7  # timed one by one; the figure is their median


def photo(rng: np.random.Generator) -> Image.Image:
    """Smooth noise of every coarseness and a little grain, which JPEG packs as it packs photographs."""
    size = 500, 375
    total = np.full((size[1], size[0], 3), 128.0)
    for across in (2, 5, 12, 30, 75, 180):
        coarse = rng.normal(0, 1, (across * 3 // 4 + 1, across, 3)).astype(np.float32)
        channels = [Image.fromarray(coarse[..., c]).resize(size, Image.Resampling.BICUBIC) for c in range(3)]
        total += 30 * (2 / across) ** 0.3 * np.stack([np.asarray(channel) for channel in channels], -1)
    total += rng.normal(0, 18, total.shape)
    return Image.fromarray(total.clip(0, 255).astype(np.uint8))


def made(root: Path, n: int) -> Path:
    """A folder of so many images to train on, in ten classes."""
    for number in range(n):
        for part in ("train", "val")[: 2 if number < 10 else 1]:
            of_class = root / part / f"class-{number % 10}"
            of_class.mkdir(parents=True, exist_ok=True)
            photo(stream(0, "photo", number)).save(of_class / f"{number}.JPEG", quality=90)
    return root


def measured(config: DataConfig, workers: int, batch_size: int, steps: int) -> dict[str, float]:
    """What the batches of some steps cost, after a warm-up."""
    dataset = stream_dataset(config, workers)
    rates, own = [], []
    batches = dataset.train_batches(range(steps * (PARTS + 1)), batch_size, 0, config)
    for part in range(PARTS + 1):
        start, spent = time.perf_counter(), time.process_time()
        for _ in range(steps):
            next(batches)
        if part:
            rates.append(steps * batch_size / (time.perf_counter() - start))
            own.append((time.process_time() - spent) / (steps * batch_size))
    batches.close()
    return {
        "workers": workers,
        "images_per_second": round(statistics.median(rates), 1),
        "own_core_seconds_per_1000_images": round(1000 * statistics.median(own), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=whole(0), nargs="+", default=[0, 1, 2])
    parser.add_argument("--data-dir", type=folder, help="folder with train/ and val/; else images are made")
    for name, default, least in (("images", 400, 10), ("image-size", 224, 8), ("batch-size", 128, 1), ("steps", 5, 1)):
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as own, refusals(parser):
        root = Path(a.data_dir) if a.data_dir else made(Path(own), a.images)
        config = DataConfig(
            dataset="imagenet", data_dir=str(root), image_size=a.image_size, crop="resized", jitter=0.4, hue=0.2
        )
        train = stream_dataset(config, 0).train
        some = np.linspace(0, len(train.names) - 1, min(400, len(train.names))).astype(int)
        size = statistics.fmean(os.path.getsize(train.path(place)) for place in some)
        figures = [measured(config, workers, a.batch_size, a.steps) for workers in a.workers]
    here = [figure for figure in figures if not figure["workers"]]
    print(
        json.dumps(
            {
                "benchmark": "input_pipeline",
                "core_seconds_per_1000_images": here[0]["own_core_seconds_per_1000_images"] if here else None,
                "by_workers": figures,
                "images": "made" if a.data_dir is None else "own",
                "bytes_of_an_image": round(size),
                "image_size": a.image_size,
                "batch_size": a.batch_size,
                "cpus": os.cpu_count(),
                "python": platform.python_version(),
                "numpy": np.__version__,
                "pillow": PIL.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
