"""The sampler alone in a Keras training: two sizes of a layer that share weights, drawn in proportion to their size.

    python examples/keras_sampler_alone.py --epochs 3

Needs Keras with any engine. The data are the small Fashion-MNIST that ships with bnao; the model is nobody's but ours.
"""

import argparse
import collections

import keras
import numpy as np
from keras import ops

from bnao import ProportionalSampler, load_dataset
from bnao.backends.keras import BalancedBatches
from bnao.config.settings import DataConfig

WIDTHS = [8, 32, 128]  # of the hidden layer; a smaller one is the first units of the largest


class Slimmable(keras.Model):
    """A hidden layer of which an architecture uses the first units."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(max(WIDTHS), "relu")
        self.classifier = keras.layers.Dense(10)

    def call(self, inputs):
        width = inputs["arch"][0, 0]  # all rows are equal
        used = ops.cast(ops.arange(max(WIDTHS)) < width, "float32")
        return self.classifier(self.hidden(ops.reshape(inputs["image"], (-1, 14 * 14))) * used)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args()

    data = load_dataset(DataConfig(dataset="fashion-mnist", image_size=14))
    sizes = [196 * width + 10 * width for width in WIDTHS]
    sampler = ProportionalSampler(WIDTHS, sizes, seed=0)
    images = data.normalised(data.x_train)
    batches = BalancedBatches(images, data.y_train, sampler=sampler, batch_size=64, workers=chosen.workers)

    model = Slimmable()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(batches, epochs=chosen.epochs, verbose=2)

    steps = chosen.epochs * len(batches)
    drawn = collections.Counter(sampler.draw(steps).tolist())
    for index, (width, expected) in enumerate(zip(WIDTHS, sampler.expected(steps), strict=True)):
        images, labels = data.normalised(data.x_dev), data.y_dev
        arch = np.full((len(labels), 1), width, np.int32)
        logits = model.predict({"image": images, "arch": arch}, verbose=0)
        accuracy = (logits.argmax(1) == labels).mean()
        print(f"{width:>4} units: {drawn[index]} updates, {expected:.1f} expected (Eq. 4), accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
